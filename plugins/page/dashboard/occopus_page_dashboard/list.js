// All infrastructures.

import { get } from "./api.js";
import { useLive } from "./live.js";
import { Stale } from "./signin.js";
import { Badge, Fare, ILL, parked } from "./states.js";
import { Time } from "./time.js";
import { html, plural, useEffect, useMemo, useState } from "./ui.js";

const SHOWN = 100;
const load = (signal) => get("overview", signal);

const lost = (one) => Boolean(one.maintainer && !one.maintainer.alive);
const ill = (one) => Boolean(one.frozen || one.unreadable || one.outdated) || lost(one) || ILL.some((state) => one.instances[state]);
const under = (one) => one.state !== "ready" || Boolean(one.instances.pending || one.instances.shutdown);
const KINDS = { all: ["All", () => true], ill: ["Needs attention", ill], under: ["Under way", under] };

export function List({ caller }) {
  const live = useLive(load, 2);
  useEffect(() => {
    document.title = "Infrastructures – Occopus";
  }, []);
  const all = live.data?.infrastructures;
  return html`<div class="head"><h1 tabindex="-1">Infrastructures</h1>
      ${caller.may("write") && html`<a class="button primary" href="#/new">New infrastructure</a>`}</div>
    <${Stale} live=${live} />
    ${all ? (all.length ? html`<${Table} all=${all} />` : html`<${Nothing} caller=${caller} />`) : !live.error && html`<p class="muted" aria-busy="true">One moment…</p>`}`;
}

function Table({ all }) {
  const [words, setWords] = useState("");
  const [kind, setKind] = useState("all");
  const [most, setMost] = useState(SHOWN);
  const found = useMemo(() => {
    const text = words.trim().toLowerCase();
    const fits = (one) => KINDS[kind][1](one) && (!text || `${one.name} ${one.infraid}`.toLowerCase().includes(text));
    return all.filter(fits).reverse();
  }, [all, words, kind]);
  return html`<div class="filters">
      <input type="search" aria-label="Find by name or id" placeholder="Find by name or id" value=${words} onInput=${(event) => setWords(event.target.value)} />
      <div class="choice" role="group" aria-label="Show">
        ${Object.entries(KINDS).map(([key, [label, fits]]) => html`<button key=${key} aria-pressed=${kind === key} onClick=${() => setKind(key)}>
          ${label} <span class="count">${all.filter(fits).length.toLocaleString("en")}</span></button>`)}
      </div>
    </div>
    <div class="panel flush"><table class="list">
      <thead><tr><th scope="col">Name</th><th scope="col">State</th><th scope="col">Instances</th><th scope="col">Created</th></tr></thead>
      <tbody>${found.slice(0, most).map((one) => html`<${Row} key=${one.infraid} one=${one} />`)}</tbody>
    </table>
    ${!found.length && html`<p class="empty muted">None of ${plural(all.length, "infrastructure")} fits.</p>`}
    </div>
    ${found.length > most && html`<p class="more"><button onClick=${() => setMost(most + SHOWN)}>Show more</button>
      <span class="muted">${most} of ${plural(found.length, "infrastructure")}</span></p>`}`;
}

function Row({ one }) {
  return html`<tr>
    <th scope="row"><a class="name" href=${`#/infrastructures/${encodeURIComponent(one.infraid)}`}>${one.name}</a><span class="mono small muted clip">${one.infraid}</span></th>
    <td>${one.unreadable ? html`<${Badge} state="failed">unreadable<//>` : html`<${Badge} state=${one.state} />`}${one.frozen && html`<${Badge} state="temp_failed">${parked(one) ? "parked" : "healing frozen"}<//>`}
      ${one.state !== "dropping" && (lost(one) ? html`<${Badge} state="temp_failed">maintainer lost<//>` : !one.maintained && !one.maintainer && html`<span class="tag">not maintained</span>`)}
      ${!one.maintained && !one.maintainer?.alive && one.seen_at && html`<span class="small muted nowrap">as of <${Time} at=${one.seen_at} /></span>`}
      ${one.expires_at && html`<span class="small muted nowrap">ends <${Time} at=${one.expires_at} /></span>`}</td>
    <td class=${one.unreadable && "wide"}>${one.unreadable ? html`<span class="small">${one.unreadable}</span>` : html`<${Fare} counts=${one.instances} target=${one.target} />`}${one.outdated > 0 && html` <span class="tag">${one.outdated.toLocaleString("en")} outdated</span>`}</td>
    <td>${!one.unreadable && html`<${Time} at=${one.created_at} />`}</td>
  </tr>`;
}

function Nothing({ caller }) {
  const [names, setNames] = useState(null);
  useEffect(() => {
    get("node_definitions/").then((said) => setNames(said.node_definitions), () => {});
  }, []);
  return html`<section class="panel start"><h2>Nothing has been built yet</h2>
    <p>An <em>infrastructure</em> is a group of nodes that depend on each other. You say what should exist; Occopus builds it, keeps it healthy, and takes it down again.</p>
    <ol>
      <li><b>Say how nodes are made.</b> Import node definitions where the service runs:
        <pre>occopus-import examples/quickstart/nodes.yaml</pre>
        ${names && html`<span class="muted">${names.length ? `There are ${names.length} so far: ${names.slice(0, 6).join(", ")}${names.length > 6 ? "…" : ""}` : "There are none so far."}</span>`}</li>
      <li><b>Say what should exist.</b> ${caller.may("write") ? "Paste a description, and have it built:" : "Your token may look, but not build: ask for one with the scope write."}
        ${caller.may("write") && html`<p><a class="button primary" href="#/new">New infrastructure</a></p>`}</li>
      <li><b>Watch.</b> It appears here, and you see every step as it happens.</li>
    </ol></section>`;
}
