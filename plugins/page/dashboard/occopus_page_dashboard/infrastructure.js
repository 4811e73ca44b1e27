// One infrastructure: its graph, its nodes, what happens to it.

import { at, call, get, once } from "./api.js";
import { Ask } from "./dialog.js";
import { Events } from "./events.js";
import { Graph } from "./graph.js";
import { byName } from "./graph-plan.js";
import { useEvents, useLive } from "./live.js";
import { Node } from "./nodes.js";
import { Outputs } from "./outputs.js";
import { Stale } from "./signin.js";
import { Badge, counted, Fare, inWords, parked } from "./states.js";
import { Time } from "./time.js";
import { announce, html, notify, plural, useCallback, useEffect, useRef, useState } from "./ui.js";

const ENDS = ["rolling back", "infrastructure updated", "infrastructure ready", "update requested"];
const SOON = 150; // milliseconds in which events are gathered before the state is asked for again

export function Infrastructure({ id, caller }) {
  const load = useCallback(async (signal) => {
    const [outline, report] = await Promise.all([get(at(id, "/outline"), signal), get(at(id), signal)]);
    return { outline, report };
  }, [id]);
  const live = useLive(load, 2);
  const timer = useRef();
  const changed = useCallback(() => {
    clearTimeout(timer.current);
    timer.current = setTimeout(live.refresh, SOON);
  }, []);
  const events = useEvents(id, changed);
  const name = live.data?.outline.name ?? id;
  useEffect(() => {
    document.title = `${name} – Occopus`;
  }, [name]);
  useSpoken(live.data);
  if (live.error?.status === 404) return html`<${Gone} id=${id} name=${name} events=${events} />`;
  if (live.error?.status === 403) return html`<div class="panel narrow"><h1 tabindex="-1">Not yours to see</h1><p>The service says: ${live.error.message}.</p></div>`;
  if (!live.data) return html`<${Crumbs} caller=${caller} /><h1 tabindex="-1">${id}</h1><${Stale} live=${live} />${!live.error && html`<p class="muted" aria-busy="true">One moment…</p>`}`;
  return html`<${Known} id=${id} caller=${caller} live=${live} events=${events} />`;
}

// Announces changes of the states of a node's instances to screen readers.
function useSpoken(data) {
  const before = useRef(null);
  useEffect(() => {
    if (!data) return;
    const now = {};
    for (const [name, node] of Object.entries(data.report)) now[name] = inWords(counted(Object.values(node.instances).map((one) => one.state)));
    const news = Object.keys(now).filter((name) => before.current && before.current[name] !== now[name]);
    if (news.length) announce(news.slice(0, 5).map((name) => `${name}: ${now[name]}`).join(". "));
    before.current = now;
  }, [data]);
}

const Crumbs = ({ caller }) => caller.infraid === null && html`<nav class="crumbs" aria-label="Where you are"><a href="#/">Infrastructures</a></nav>`;

function Gone({ id, name, events }) {
  const kinds = new Set(events.events.map((event) => event.event));
  const failed = kinds.has("rolling back") && !kinds.has("infrastructure ready");
  const why = events.events.findLast((event) => event.event === "node failed");
  const title = failed ? "The build failed and was undone" : kinds.size ? "This infrastructure is gone" : "There is no such infrastructure";
  return html`<nav class="crumbs" aria-label="Where you are"><a href="#/">Infrastructures</a></nav>
    <div class="head"><h1 tabindex="-1">${title}</h1></div>
    <div class=${failed ? "banner bad" : "banner"}><p>
      ${failed ? html`Nothing of “${name}” is left. ${why ? html`What failed: <b>${why.node}</b>, ${why.text}` : "Its events say why."}`
        : kinds.size ? `“${name}” was destroyed, with all of its instances. Its events stay.` : `None has the id “${id}”, and none had.`}</p></div>
    ${kinds.size > 0 && html`<${Events} state=${events} />`}`;
}

function Known({ id, caller, live, events }) {
  const { outline, report } = live.data;
  const names = Object.keys(report).sort(byName);
  const types = Object.fromEntries(outline.nodes.map((node) => [node.name, node]));
  const choose = (name) => document.getElementById(`node-${names.indexOf(name)}`)?.focus();
  return html`<${Crumbs} caller=${caller} />
    <${Head} id=${id} caller=${caller} outline=${outline} live=${live} />
    <${Stale} live=${live} />
    ${outline.frozen && !parked(outline) && html`<div class="banner warn"><p><b>Healing is frozen.</b> ${outline.frozen}</p></div>`}
    ${parked(outline) && html`<div class="banner warn"><p><b>This infrastructure is parked.</b> ${parked(outline)}</p>
      ${caller.may("write") && html`<${Maintain} id=${id} verb="attach" refresh=${live.refresh}>Try it again<//>`}</div>`}
    ${outline.state === "rolling_back" && html`<div class="banner warn"><p><b>A build is being rolled back.</b> ${outline.rolling_back}</p></div>`}
    <${Undone} outline=${outline} events=${events.events} />
    ${outline.maintainer && !outline.maintainer.alive && html`<div class="banner warn"><p><b>Its maintainer is lost.</b> ${outline.maintainer.name} maintained it since <${Time} at=${outline.maintainer.since} />,
      and was last seen <${Time} at=${outline.maintainer.seen} />: it was killed or is frozen.${seen(outline)}</p></div>`}
    ${!outline.maintained && !outline.maintainer?.alive && outline.state !== "dropping" && html`<div class="banner"><p><b>Nobody maintains this infrastructure.</b> Nothing is healed, and scaling requests wait.${seen(outline)}</p>
      ${caller.may("write") && html`<${Maintain} id=${id} verb="attach" refresh=${live.refresh}>Maintain it<//>`}</div>`}
    <div class="columns"><div class="stack">
      <${Outputs} report=${report} />
      <${Graph} nodes=${outline.nodes} report=${report} choose=${choose} />
      ${names.map((name, number) => html`<${Node} key=${name} id=${id} name=${name} number=${number} node=${report[name]} type=${types[name]}
        caller=${caller} leaving=${outline.state === "dropping"} refresh=${live.refresh} />`)}
    </div><${Events} state=${events} /></div>`;
}

// As of when the states are, where no process looks at the instances.
const seen = (outline) => outline.seen_at && html` States are those of <${Time} at=${outline.seen_at} />.`;

// The latest build, where it was brought to another description in vain.
function Undone({ outline, events }) {
  const last = events.findLast((event) => ENDS.includes(event.event));
  if (outline.state !== "ready" || last?.event !== "rolling back") return null;
  return html`<div class="banner bad"><p><b>The last update failed and was undone.</b> The description before it is in force. ${last.text}</p></div>`;
}

function Head({ id, caller, outline, live }) {
  const [asking, setAsking] = useState(false);
  const leaving = outline.state === "dropping";
  return html`<div class="head"><div class="title"><h1 tabindex="-1">${outline.name}</h1><${Badge} state=${outline.state} /></div>
      ${caller.may("write") && html`<div class="actions">
        ${outline.maintained && !leaving && html`<${Maintain} id=${id} verb="detach" refresh=${live.refresh}>Stop maintaining<//>`}
        ${!leaving && html`<a class="button quiet" href=${`#/infrastructures/${encodeURIComponent(id)}/edit`}>Edit</a>`}
        <button class="danger quiet" disabled=${leaving} onClick=${() => setAsking(true)}>Destroy…</button></div>`}
      ${!caller.may("write") && html`<span class="tag">${caller.may("scale") ? "you may look and scale" : "you may look"}</span>`}
    </div>
    <div class="facts"><${Fare} counts=${outline.instances} target=${outline.target} />
      <span><span class="muted">Created</span> <${Time} at=${outline.created_at} /></span>
      ${outline.maintainer?.alive && html`<span><span class="muted">Maintained by</span> ${outline.maintainer.name} <span class="muted">since</span> <${Time} at=${outline.maintainer.since} /></span>`}
      ${outline.expires_at && html`<${Ends} id=${id} at=${outline.expires_at} may=${caller.may("write") && !leaving} refresh=${live.refresh} />`}
      <${Cost} id=${id} />
      <span class="id"><span class="muted">Id</span> <code class="clip">${id}</code></span></div>
    ${asking && html`<${Destroy} id=${id} outline=${outline} close=${() => setAsking(false)} refresh=${live.refresh} />`}`;
}

function Ends({ id, at: end, may, refresh }) {
  const extend = async (by) => {
    try {
      await once(at(id, `/extend?by=${by}`));
      refresh();
    } catch (error) {
      notify(error.message, true);
    }
  };
  return html`<span><span class="muted">Destroyed by itself</span> <${Time} at=${end} />
    ${may && html` <button class="plain small" onClick=${() => extend("1h")}>1 h later</button> <button class="plain small" onClick=${() => extend("1d")}>1 day later</button>`}</span>`;
}

// Asked for when somebody wants to know: it asks the providers.
function Cost({ id }) {
  const [text, setText] = useState("");
  const ask = async () => {
    setText("…");
    try {
      const { totalcost: total, unknown_costs: unknown } = await get(at(id, "/cost"));
      const rest = unknown ? `, and that of ${plural(unknown, "instance")} is unknown` : "";
      setText(total === null ? "unknown" : `${total.toFixed(2)}${rest}`);
    } catch (error) {
      setText("");
      notify(error.message, true);
    }
  };
  return html`<span><span class="muted">Cost so far</span> ${text || html`<button class="plain small" onClick=${ask}>Ask</button>`}</span>`;
}

function Destroy({ id, outline, close, refresh }) {
  const count = Object.values(outline.instances).reduce((sum, one) => sum + one, 0);
  const act = async () => {
    await call("DELETE", at(id, "?wait=false"));
    notify(`${outline.name} is being destroyed.`);
    refresh();
  };
  return html`<${Ask} title=${`Destroy ${outline.name}?`} verb=${`Destroy ${plural(count, "instance")}`} typed=${outline.name} act=${act} close=${close}>
    <p>${plural(count, "instance")} of ${plural(outline.nodes.length, "node")} and all that is on them will be deleted. This cannot be undone.</p>
    <p class="small muted">Id <code>${id}</code></p><//>`;
}

function Maintain({ id, verb, refresh, children }) {
  const act = async () => {
    try {
      await call("POST", at(id, `/${verb}`));
      notify(verb === "attach" ? "It is maintained from now on." : "It is maintained no more; it stays as it is.");
      refresh();
    } catch (error) {
      notify(error.message, true);
    }
  };
  return html`<button class="quiet" onClick=${act}>${children}</button>`;
}
