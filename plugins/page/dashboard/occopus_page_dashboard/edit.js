// Another description of an infrastructure: edited, its plan shown, and put in the place of the present one.

import { at, call, get, open } from "./api.js";
import { DescriptionForm } from "./description.js";
import { Ask } from "./dialog.js";
import { counted } from "./states.js";
import { Time } from "./time.js";
import { Types } from "./types.js";
import { html, notify, plural, useEffect, useRef, useState } from "./ui.js";

const ACTIONS = {
  create: ["+", "Create"], replace: ["~", "Replace"], destroy: ["−", "Destroy"],
  reconfigure: ["*", "Configure again"], wait: ["…", "Wait with"], keep: ["=", "Keep"],
};

const PLAN_SECONDS = 600; // providers are asked for it

async function read(id) {
  const answer = await open("GET", at(id, "/description"));
  return { text: await answer.text(), tag: answer.headers.get("ETag") };
}

export function Edit({ id, caller }) {
  const [known, setKnown] = useState(null);
  const [text, setText] = useState("");
  const [names, setNames] = useState(null);
  const [plan, setPlan] = useState(null);
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const [asking, setAsking] = useState(false);
  const [locked, setLocked] = useState(false);
  const planning = useRef(null); // ends the call for a plan that is under way
  const acting = useRef(false); // at once, not with the next rendering as `locked`
  const confirming = useRef(false); // the dialog is open
  // While an action is under way, nothing can be typed and no other one begins; after one that answers true, too.
  const alone = async (act) => {
    if (acting.current) return;
    planning.current?.abort();
    acting.current = true;
    setLocked(true);
    let last = false;
    try {
      last = await act();
    } finally {
      acting.current = last === true;
      setLocked(last === true);
    }
  };
  const start = () => alone(async () => {
    setProblem(null);
    setPlan(null);
    try {
      const found = await read(id);
      setKnown(found);
      setText(found.text);
    } catch (error) {
      setProblem(error);
    }
  });
  // The present description is what the text takes the place of from now on.
  const keep = () => alone(async () => {
    setProblem(null);
    try {
      setKnown(await read(id));
    } catch (error) {
      setProblem(error);
    }
  });
  useEffect(() => {
    document.title = "Edit – Occopus";
    start();
    get("node_definitions/").then((said) => setNames(said.node_definitions), () => setNames([]));
    return () => planning.current?.abort();
  }, []);
  const change = (news) => {
    if (acting.current) return;
    planning.current?.abort();
    setText(news);
    setPlan(null); // it was that of another text
  };
  const put = (rest, options) => call("PUT", at(id, `/description${rest}`),
    { body: text, headers: { "If-Match": known.tag, "Content-Type": "application/yaml" }, ...options });
  const show = async (event) => {
    event.preventDefault();
    if (busy || acting.current || !text.trim()) return;
    const own = new AbortController();
    planning.current = own;
    setBusy(true);
    setPlan(null);
    setProblem(null);
    try {
      const found = await put("?dry_run=true", { signal: own.signal, seconds: PLAN_SECONDS });
      if (!own.signal.aborted) setPlan(found);
    } catch (error) {
      if (!own.signal.aborted) setProblem(error);
    }
    setBusy(false);
  };
  const confirm = (open) => {
    confirming.current = open;
    setAsking(open);
  };
  const apply = () => alone(async () => {
    setProblem(null);
    try {
      await put("");
    } catch (error) {
      if (confirming.current && error.status !== 412) throw error; // the dialog shows it
      confirm(false);
      if (error.status === 412) setPlan(null); // it was made for another description
      setProblem(error);
      return false;
    }
    notify("It is being brought to this description.");
    location.hash = `#/infrastructures/${encodeURIComponent(id)}`;
    return true;
  });
  const decide = () => {
    const counts = numbers(plan);
    return counts.replace || counts.destroy || endsSooner(plan) ? confirm(true) : apply();
  };
  const back = `#/infrastructures/${encodeURIComponent(id)}`;
  const crumbs = html`<nav class="crumbs" aria-label="Where you are">${caller.infraid === null && html`<a href="#/">Infrastructures</a> / `}<a href=${back}>${id}</a></nav>`;
  if (!caller.may("write")) return html`${crumbs}<div class="panel narrow"><h1 tabindex="-1">Edit the description</h1>
    <p>Your token is for “${caller.scope}”; this needs one for “write”.</p></div>`;
  return html`${crumbs}<div class="head"><h1 tabindex="-1">Edit the description</h1></div>
    ${!known && !problem && html`<p class="muted" aria-busy="true">One moment…</p>`}
    ${!known && problem && html`<div class="banner bad"><p>${problem.message}</p></div>`}
    ${known && html`<div class="columns"><div class="stack">
      <${DescriptionForm} text=${text} setText=${change} problem=${problem} nothing="Nothing was changed" submit=${show} locked=${locked}>
        <button class=${plan ? "" : "primary"} type="submit" disabled=${busy || locked || !text.trim()}>${busy && !plan ? "Checking…" : "Show the plan"}</button>
        ${problem?.status === 412
          ? html`<button type="button" disabled=${locked} onClick=${keep}>Keep this text</button><button type="button" disabled=${locked} onClick=${start}>Read it again</button>`
          : text !== known.text && html`<button type="button" disabled=${busy || locked} onClick=${start}>As it was</button>`}
      <//>
      ${busy && !plan && html`<p class="muted" role="status">The providers are asked which instances there are. That may take minutes.</p>`}
      ${plan && html`<${Plan} plan=${plan} busy=${busy || locked} decide=${decide} />`}
    </div><${Types} names=${names} /></div>`}
    ${asking && plan && html`<${Ask} title="Update this infrastructure?" verb="Update it" act=${apply} close=${() => confirm(false)}>
      ${endsSooner(plan) && html`<p><${End} moved=${plan.life_time} /></p>`}
      <p>${inWords(numbers(plan))}What is on an instance that is replaced or destroyed is lost.</p><//>`}`;
}

const numbers = (plan) => counted(plan.steps.map((step) => step.action));

function inWords({ replace = 0, destroy = 0 }) {
  const words = [replace && `${plural(replace, "instance")} will be replaced`, destroy && `${plural(destroy, "instance")} will be destroyed`];
  const said = words.filter(Boolean).join(", and ");
  return said && `${said}. `;
}

// True where the infrastructure is destroyed earlier than before, or is destroyed by itself at all.
const endsSooner = ({ life_time: moved }) => Boolean(moved?.after) && (!moved.before || new Date(moved.after) < new Date(moved.before));

const Moment = ({ at }) => (at ? html`<${Time} at=${at} />` : "never");

function End({ moved }) {
  const will = moved.after ? html`It will be destroyed <${Moment} at=${moved.after} />` : "It will not be destroyed by itself";
  return html`${will} (was: <${Moment} at=${moved.before} />).`;
}

function Plan({ plan, busy, decide }) {
  const heading = useRef();
  useEffect(() => heading.current.focus(), [plan]);
  const groups = new Map();
  for (const step of plan.steps) {
    const key = JSON.stringify([step.action, step.node, step.reason, step.hold]);
    groups.set(key, { ...step, count: (groups.get(key)?.count ?? 0) + 1 });
  }
  const order = Object.keys(ACTIONS);
  const steps = [...groups.values()].sort((one, other) => order.indexOf(one.action) - order.indexOf(other.action));
  const first = new Set(); // the changes of a node are shown once
  const rows = steps.map((step) => ({ ...step, changes: first.has(step.node) ? [] : (first.add(step.node), plan.changes[step.node] ?? []) }));
  const some = steps.some((step) => step.action !== "keep");
  return html`<section class="panel plan" aria-labelledby="plan"><div class="section-head"><h2 id="plan" tabindex="-1" ref=${heading}>Plan</h2>
      <span class="muted small">Nothing has been changed yet.</span></div>
    ${!some && html`<p>All instances stay as they are.</p>`}
    ${plan.frozen && html`<p class="note">Healing is frozen: ${plan.frozen}</p>`}
    ${plan.life_time && html`<p class="note"><${End} moved=${plan.life_time} /></p>`}
    <ul class="steps">${rows.map((row) => html`<${Step} key=${`${row.action} ${row.node} ${row.reason}`} row=${row} />`)}
      ${plan.infrastructure_changes.length > 0 && html`<li class="step"><span class="mono step-sign" aria-hidden="true">*</span>
        <div><p>Change the <b>infrastructure</b></p><${Keys} of="the infrastructure" changes=${plan.infrastructure_changes} /></div></li>`}</ul>
    <div class="actions left"><button class="primary" disabled=${busy} onClick=${decide}>${busy ? "One moment…" : "Apply"}</button></div></section>`;
}

function Step({ row }) {
  const [sign, words] = ACTIONS[row.action];
  return html`<li class=${`step ${row.action}`}><span class="mono step-sign" aria-hidden="true">${sign}</span>
    <div><p>${words} ${plural(row.count, "instance")} of <b>${row.node}</b>${row.reason && html`<span class="muted">: ${row.reason}</span>`}</p>
      ${row.changes.length > 0 && html`<${Keys} of=${row.node} changes=${row.changes} />`}
    </div></li>`;
}

function Keys({ of, changes }) {
  return html`<table class="changes"><caption class="spoken">What changes for ${of}</caption>
    <thead class="spoken"><tr><th scope="col">Key</th><th scope="col">Before</th><th scope="col">After</th></tr></thead>
    <tbody>${changes.map((one, index) => html`<tr key=${`${index} ${one.path}`}><th scope="row" class="mono">${one.path}</th>
      <td class="mono">${one.before ?? "(absent)"}</td><td class="mono"><span class="muted" aria-hidden="true">→ </span>${one.after ?? "(absent)"}</td></tr>`)}</tbody></table>`;
}
