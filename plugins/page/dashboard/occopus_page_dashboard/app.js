// The frame of the page: who is here, which view is shown, what is announced.

import { get, onRefused, setToken, token } from "./api.js";
import { Create } from "./create.js";
import { Edit } from "./edit.js";
import { Infrastructure } from "./infrastructure.js";
import { List } from "./list.js";
import { Away, SignIn } from "./signin.js";
import { html, onNotice, render, useCallback, useEffect, useLayoutEffect, useState } from "./ui.js";

const NOTICE_SECONDS = 8;
const SCOPES = ["read", "scale", "write"];

function useRoute() {
  const [route, setRoute] = useState(location.hash);
  useEffect(() => {
    const changed = () => setRoute(location.hash);
    window.addEventListener("hashchange", changed);
    return () => window.removeEventListener("hashchange", changed);
  }, []);
  return route;
}

function useCaller() {
  const [caller, setCaller] = useState({ state: "asking" });
  const ask = useCallback(async () => {
    try {
      const known = await get("whoami");
      setCaller({ state: "known", ...known, may: (scope) => SCOPES.indexOf(known.scope) >= SCOPES.indexOf(scope) });
    } catch (problem) {
      if (problem.status !== 401) setCaller({ state: "away", problem });
    }
  }, []);
  useEffect(() => {
    onRefused((problem) => {
      const had = token();
      setToken(null);
      // Of several calls that are refused at once only the first had the token.
      setCaller((old) => (!had && old.state === "unknown" ? old : { state: "unknown", problem: had ? problem : null }));
    });
    ask();
  }, []);
  return [caller, ask];
}

function View({ route, caller }) {
  const [, place, id, rest] = route.replace(/^#/, "").split("/");
  let named = "";
  try {
    named = decodeURIComponent(id ?? "");
  } catch {
    // not an id then
  }
  if (caller.infraid !== null && named !== caller.infraid) {
    location.replace(`#/infrastructures/${encodeURIComponent(caller.infraid)}`);
    return null;
  }
  if (place === "new") return html`<${Create} caller=${caller} />`;
  if (place === "infrastructures" && named && rest === "edit") return html`<${Edit} key=${named} id=${named} caller=${caller} />`;
  if (place === "infrastructures" && named) return html`<${Infrastructure} key=${named} id=${named} caller=${caller} />`;
  return html`<${List} caller=${caller} />`;
}

function Notices() {
  const [notice, setNotice] = useState(null);
  const [spoken, setSpoken] = useState("");
  useEffect(() => {
    let timer;
    return onNotice((news) => {
      setSpoken(news.text);
      if (news.quiet) return;
      clearTimeout(timer);
      setNotice(news);
      timer = setTimeout(() => setNotice(null), NOTICE_SECONDS * 1000);
    });
  }, []);
  return html`<div class="spoken" role="status" aria-live="polite">${spoken}</div>
    ${notice && html`<div class=${notice.bad ? "notice bad" : "notice"}><span aria-hidden="true">${notice.text}</span>
      <button class="plain" onClick=${() => setNotice(null)} aria-label="Close this notice">✕</button></div>`}`;
}

function Header({ caller, leave }) {
  const scope = { read: "may look", scale: "may look and scale", write: "may do everything" }[caller.scope];
  return html`<header class="top"><a class="brand" href="#/"><img src="page/icon.svg" alt="" width="26" height="26" />Occopus</a>
    ${caller.state === "known" && caller.name !== null && html`<span class="who"><b>${caller.name}</b> <span class="muted">${scope}</span></span>
      <button class="quiet" onClick=${leave}>Sign out</button>`}
  </header>`;
}

function App() {
  const [caller, ask] = useCaller();
  const route = useRoute();
  useLayoutEffect(() => {
    window.scrollTo(0, 0);
    if (route) document.querySelector("main h1")?.focus({ preventScroll: true });
  }, [route, caller.state]);
  const leave = () => {
    setToken(null);
    ask();
  };
  const inside = {
    asking: () => html`<p class="muted" aria-busy="true">One moment…</p>`,
    away: () => html`<${Away} problem=${caller.problem} again=${ask} />`,
    unknown: () => html`<${SignIn} problem=${caller.problem} enter=${ask} />`,
    known: () => html`<${View} route=${route} caller=${caller} />`,
  };
  return html`<a class="skip" href="#main" onClick=${skip}>To the contents</a>
    <${Header} caller=${caller} leave=${leave} />
    <main id="main" tabindex="-1">${inside[caller.state]()}</main>
    <${Notices} />`;
}

function skip(event) {
  event.preventDefault(); // the part of the address after "#" names the view
  document.getElementById("main").focus();
}

render(html`<${App} />`, document.getElementById("app"));
