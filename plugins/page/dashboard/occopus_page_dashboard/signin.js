// The view for users without a valid token, and while the service is unavailable.

import { setToken } from "./api.js";
import { absolute, useTick } from "./time.js";
import { html, useEffect, useState } from "./ui.js";

export function SignIn({ problem, enter }) {
  const [text, setText] = useState("");
  const submit = (event) => {
    event.preventDefault();
    if (!text.trim()) return;
    setToken(text.trim());
    setText("");
    enter();
  };
  useEffect(() => {
    document.title = "Sign in – Occopus";
  }, []);
  return html`<form class="panel narrow" onSubmit=${submit}>
    <h1 tabindex="-1">Sign in</h1>
    <p class="muted">This service asks for a token. Its operator makes one, where the service runs, with</p>
    <pre>occopus-rest-service token create --name NAME --scope write</pre>
    <p class="small muted">A token of the scope <code>read</code> may look, one of <code>scale</code> may scale as well.</p>
    <input type="text" autocomplete="username" value="Occopus" readonly hidden />
    <label for="token">Token</label>
    <input id="token" type="password" autocomplete="current-password" spellcheck="false" value=${text}
      aria-invalid=${problem ? "true" : null} aria-describedby="token-note" onInput=${(event) => setText(event.target.value)} autofocus />
    ${problem && html`<p class="error" role="alert">This token is not accepted: it is mistyped, or was revoked.</p>`}
    <p id="token-note" class="small muted">It stays in this tab, and is forgotten when you close it.</p>
    <button class="primary" type="submit">Sign in</button>
  </form>`;
}

export function Away({ problem, again }) {
  useEffect(() => {
    const timer = setInterval(again, 5000);
    return () => clearInterval(timer);
  }, [again]);
  return html`<div class="panel narrow"><h1 tabindex="-1">The service is away</h1>
    <p role="alert">${problem.message}</p>
    <p class="muted">What it has built runs on. This page looks again every few seconds.</p>
    <button class="primary" onClick=${again}>Look again now</button></div>`;
}

// Above what was known last, while nothing new is heard.
export function Stale({ live }) {
  useTick();
  const { error, at, next, refresh } = live;
  if (!error) return null;
  const wait = Math.max(0, Math.round((next - Date.now()) / 1000));
  const since = at ? ` This is how things were at ${absolute(new Date(at))}.` : "";
  return html`<div class="banner bad"><p role="alert">${error.message}${since}</p>
    <span class="small muted nowrap">${wait ? `again in ${wait} s` : "looking again…"}</span>
    <button onClick=${refresh}>Look again now</button></div>`;
}
