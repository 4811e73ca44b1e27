// One node: its instances, and how many of them there should be.

import { at, once } from "./api.js";
import { Ask } from "./dialog.js";
import { Output } from "./logs.js";
import { Badge, counted, Fare, ORDER, word } from "./states.js";
import { Time } from "./time.js";
import { Type } from "./types.js";
import { html, notify, plural, useEffect, useMemo, useState } from "./ui.js";

const FEW = 12;
const STEP = 100;

export function Node({ id, name, number, node, type, caller, leaving, refresh }) {
  const { scaling } = node;
  const instances = useMemo(() => Object.entries(node.instances).map(([key, one]) => ({ key, ...one })), [node]);
  const counts = counted(instances.map((one) => one.state));
  const mayScale = caller.may("scale") && !leaving && Boolean(type);
  return html`<section class="panel node" aria-labelledby=${`node-${number}`}>
    <div class="section-head"><div class="title"><h2 id=${`node-${number}`} tabindex="-1">${name}</h2>
        ${type ? html`<${Type} name=${type.type} />` : html`<span class="muted small">no longer described</span>`}</div>
      <div class="actions"><${Scale} id=${id} name=${name} scaling=${scaling} may=${mayScale} refresh=${refresh} />
        ${caller.may("write") && !leaving && Boolean(type) && instances.length > 0 && html`<${Replace} id=${id} name=${name} count=${instances.length}
          asked=${scaling.pending.some((one) => one.kind === "replace")} refresh=${refresh} />`}</div></div>
    <${Fare} counts=${counts} target=${scaling.target} />
    ${scaling.pending.length > 0 && html`<p class="asked small">${plural(scaling.pending.length, "request")} ${scaling.pending.length === 1 ? "waits" : "wait"} for the next pass.</p>`}
    ${node.note && html`<p class="note">${node.note}</p>`}
    <${Instances} id=${id} name=${name} instances=${instances} mayRemove=${mayScale && scaling.actual > scaling.min} refresh=${refresh} /></section>`;
}

function Replace({ id, name, count, asked, refresh }) {
  const [asking, setAsking] = useState(false);
  const replace = async () => {
    await once(at(id, `/nodes/${encodeURIComponent(name)}/replace`));
    notify(`${name} is asked to be replaced.`);
    refresh();
  };
  return html`<button class="quiet" type="button" aria-label=${`Replace ${name}`} disabled=${asked} onClick=${() => setAsking(true)}>Replace…</button>
    ${asking && html`<${Ask} title=${`Replace ${name}?`} verb=${`Replace ${plural(count, "instance")}`} act=${replace} close=${() => setAsking(false)}>
      <p>New instances of ${name} are made first. When all are ready, ${count === 1 ? "the present instance and all that is on it" : `the ${count.toLocaleString("en")} present instances and all that is on them`} will be deleted.
        If a new one cannot be made, none is replaced.</p>
      <p class="small muted">Other nodes stay as they are, but their instances that have failed are replaced, too.</p><//>`}`;
}

function Scale({ id, name, scaling, may, refresh }) {
  const { target, min, max } = scaling;
  const [wanted, setWanted] = useState(target);
  const [busy, setBusy] = useState(false);
  useEffect(() => setWanted(target), [target]);
  const fixed = min === max;
  if (!may || fixed) return html`<span class="muted small nowrap">${fixed ? `always ${target}` : `${target} of ${min} to ${max}`}</span>`;
  const count = Math.round(Number(wanted));
  const good = wanted !== "" && count >= min && count <= max;
  const submit = async (event) => {
    event.preventDefault();
    if (!good || count === target || busy) return;
    setBusy(true);
    try {
      await once(at(id, `/scaleto/${encodeURIComponent(name)}/${count}`));
      notify(`${name} is asked to have ${plural(count, "instance")}.`);
    } catch (error) {
      notify(error.message, true);
    }
    setBusy(false);
    refresh();
  };
  return html`<form class="scale" onSubmit=${submit} aria-label=${`Scale ${name}`} noValidate>
    <div class="stepper">
      <button type="button" aria-label=${`One fewer of ${name}`} disabled=${count <= min} onClick=${() => setWanted(count - 1)}>−</button>
      <input type="number" inputmode="numeric" aria-label=${`Instances of ${name}, ${min} to ${max}`} min=${min} max=${max} value=${wanted}
        aria-invalid=${good ? null : "true"} onInput=${(event) => setWanted(event.target.value)} />
      <button type="button" aria-label=${`One more of ${name}`} disabled=${count >= max} onClick=${() => setWanted(count + 1)}>+</button>
    </div>
    <span class="muted small nowrap">${min} to ${max}</span>
    ${good && count !== target && html`<button class="primary" type="submit" disabled=${busy}>Scale to ${count}</button>`}
  </form>`;
}

function Instances({ id, name, instances, mayRemove, refresh }) {
  const [most, setMost] = useState(FEW);
  const [words, setWords] = useState("");
  const [leaving, setLeaving] = useState(null);
  const [reading, setReading] = useState(null);
  const many = instances.length > FEW;
  const found = useMemo(() => {
    const text = words.trim().toLowerCase();
    const fits = instances.filter((one) => !text || `${one.key} ${one.addresses.join(" ")} ${one.instance_id} ${one.cloud} ${one.region} ${word(one.state)} ${one.note}`.toLowerCase().includes(text));
    // Of many instances only some are shown: those that need attention first.
    return many ? fits.sort((one, other) => ORDER.indexOf(one.state) - ORDER.indexOf(other.state) || one.position - other.position) : fits;
  }, [instances, words, many]);
  if (!instances.length) return html`<p class="muted">No instance at present.</p>`;
  const remove = async () => {
    await once(at(id, `/scaledown/${encodeURIComponent(name)}/${encodeURIComponent(leaving.key)}`));
    notify(`${name}-${leaving.position} is asked to go.`);
    refresh();
  };
  return html`${many && html`<input class="find" type="search" aria-label=${`Find an instance of ${name}`} placeholder="Find by address, id, state or reason" value=${words} onInput=${(event) => setWords(event.target.value)} />`}
    <table class="instances"><caption class="spoken">Instances of ${name}</caption>
      <thead><tr><th scope="col">Instance</th><th scope="col">State</th><th scope="col">Address</th><th scope="col">Since</th><th scope="col"><span class="spoken">Actions</span></th></tr></thead>
      <tbody>${found.slice(0, most).map((one) => html`<${Instance} key=${one.key} name=${name} one=${one} mayRemove=${mayRemove} leave=${() => setLeaving(one)} read=${() => setReading(one)} />`)}</tbody>
    </table>
    ${!found.length && html`<p class="muted">None of ${plural(instances.length, "instance")} fits.</p>`}
    ${found.length > most && html`<p class="more"><button onClick=${() => setMost(most + STEP)}>Show more</button> <span class="muted">${most} of ${plural(found.length, "instance")}</span></p>`}
    ${reading && html`<${Output} id=${id} name=${name} one=${reading} close=${() => setReading(null)} />`}
    ${leaving && html`<${Ask} title=${`Remove ${name}-${leaving.position}?`} verb="Remove this instance" act=${remove} close=${() => setLeaving(null)}>
      <p>This instance of ${name} is deleted by the next pass, and the node has one fewer.</p>
      <p class="small muted"><code>${leaving.key}</code> ${leaving.resource_address}</p><//>`}`;
}

function Instance({ name, one, mayRemove, leave, read }) {
  const stage = one.state === "pending" ? one.stage : "";
  return html`<tr>
    <th scope="row">${name}-${one.position}<span class="mono small muted clip" title=${one.key}>${one.key.slice(0, 8)}</span>
      ${one.cloud && html`<span class="small muted where" title=${one.implementation}>${[one.cloud, one.region].filter(Boolean).join(", ")}</span>`}</th>
    <td><${Badge} state=${one.state} />${stage && html` <span class="small muted">${stage}</span>`}${one.condemned && html` <span class="tag">chosen to go</span>`}${one.outdated?.length > 0 && html` <span class="tag">outdated</span>`}
      ${one.note && html`<p class="note">${one.note}</p>`}</td>
    <td class="mono">${one.addresses.length ? one.addresses.map((address) => html`<${Address} key=${address} text=${address} />`) : html`<span class="muted">none yet</span>`}</td>
    <td><${Time} at=${one.unhealthy_since > one.since ? one.unhealthy_since : one.since} /></td>
    <td class="end">${one.instance_id && html`<button class="plain small" aria-label=${`Output of ${name}-${one.position}`} onClick=${read}>Output</button>`}
      ${mayRemove && one.state !== "shutdown" && !one.condemned && html`<button class="plain small" aria-label=${`Remove ${name}-${one.position}`} onClick=${leave}>Remove</button>`}</td>
  </tr>`;
}

// An address that is a URL can be opened.
const Address = ({ text }) => (/^https?:\/\/[^\s]+$/.test(text)
  ? html`<a class="address" href=${text} target="_blank" rel="noreferrer">${text}</a>`
  : html`<span class="address">${text}</span>`);
