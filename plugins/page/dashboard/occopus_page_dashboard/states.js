// States: a word, a sign and a colour for each, so that any one of them is enough to distinguish states.

import { html, plural } from "./ui.js";

// Worse ones first.
export const ORDER = ["failed", "temp_failed", "unknown", "pending", "rolling_back", "updating", "building", "shutdown", "dropping", "ready"];
export const ILL = ["failed", "temp_failed", "unknown"];
const WORDS = { temp_failed: "not well", rolling_back: "rolling back", shutdown: "shutting down", dropping: "being destroyed" };
const SIGNS = {
  ready: "M4 8.5l2.7 2.7L12 5.5",
  pending: "M8 4.5V8l2.5 1.8",
  failed: "M5 5l6 6M11 5l-6 6",
  temp_failed: "M8 4.2v4.6M8 11.2v.4",
  unknown: "M6 6.2a2 2 0 1 1 2.8 1.9c-.6.3-.8.6-.8 1.3M8 11.6v.2",
  shutdown: "M4.8 8h6.4",
};
const ALIKE = { building: "pending", updating: "pending", rolling_back: "pending", dropping: "shutdown" };

// How the reason begins where no pass touches an infrastructure until somebody orders it.
const PARKED = "parked: ";
export const parked = (one) => (one.frozen.startsWith(PARKED) ? one.frozen.slice(PARKED.length) : "");

export const word = (state) => WORDS[state] ?? state;
export const look = (state) => ALIKE[state] ?? (SIGNS[state] ? state : "unknown");

export const Sign = ({ state }) => html`<svg class=${`sign ${look(state)}`} viewBox="0 0 16 16" aria-hidden="true">
  <circle cx="8" cy="8" r="7" /><path d=${SIGNS[look(state)]} /></svg>`;

export const Badge = ({ state, children }) =>
  html`<span class=${`badge ${look(state)}`}><${Sign} state=${state} />${children ?? word(state)}</span>`;

export function counted(states) {
  const counts = {};
  for (const state of states) counts[state] = (counts[state] ?? 0) + 1;
  return counts;
}

const sorted = (counts) => ORDER.filter((state) => counts[state]);
export const worst = (counts) => sorted(counts)[0] ?? "unknown";
export const inWords = (counts) => sorted(counts).map((state) => `${counts[state]} ${word(state)}`).join(", ") || "none";

// A bar of all instances by state; what is missing to the target is left empty.
export function Meter({ counts, target }) {
  const there = sorted(counts).reverse();
  const total = there.reduce((sum, state) => sum + counts[state], 0);
  return html`<span class="meter" aria-hidden="true">
    ${there.map((state) => html`<span key=${state} class=${look(state)} style=${{ flexGrow: counts[state] }}></span>`)}
    ${target > total && html`<span class="missing" style=${{ flexGrow: target - total }}></span>`}
  </span>`;
}

export function Fare({ counts, target }) {
  const ready = counts.ready ?? 0;
  const others = sorted(counts).filter((state) => state !== "ready");
  return html`<span class="fare"><${Meter} counts=${counts} target=${target} />
    <span class="nowrap">${ready.toLocaleString("en")} of ${plural(target, "instance")} ready</span>
    ${others.map((state) => html`<span key=${state} class=${`nowrap ink ${look(state)}`}>${counts[state].toLocaleString("en")} ${word(state)}</span>`)}
  </span>`;
}
