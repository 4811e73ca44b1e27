// Times, as people say them and as they are. One clock for all of them.

import { html, useEffect, useState } from "./ui.js";

const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
const watching = new Set();
setInterval(() => watching.forEach((look) => look()), 1000);

function ago(date) {
  const left = Math.floor((date - Date.now()) / 1000);
  if (left >= 2) {
    const [size, unit] = UNITS.find(([size]) => left >= size);
    return `in ${Math.floor(left / size)} ${unit}`;
  }
  const seconds = Math.max(0, Math.floor((Date.now() - date) / 1000));
  const [size, unit] = UNITS.find(([size]) => seconds >= size) ?? [1, "s"];
  return seconds < 2 ? "now" : `${Math.floor(seconds / size)} ${unit} ago`;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });

export function absolute(date) {
  const today = date.toDateString() === new Date().toDateString();
  return today ? clock.format(date) : `${day.format(date)}, ${clock.format(date)}`;
}

export function Time({ at }) {
  const date = new Date(at);
  const [text, setText] = useState(ago(date));
  useEffect(() => {
    const look = () => setText(ago(new Date(at)));
    look();
    watching.add(look);
    return () => watching.delete(look);
  }, [at]);
  return html`<time datetime=${at} title=${date.toString()}><span class="ago">${text}</span>${" "}<span class="clock">${absolute(date)}</span></time>`;
}

export function useTick() {
  const [, turn] = useState(0);
  useEffect(() => {
    const look = () => turn((count) => count + 1);
    watching.add(look);
    return () => watching.delete(look);
  }, []);
}
