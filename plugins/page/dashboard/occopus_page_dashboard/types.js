// What a type of node is: the ways in which its node definition says that it can be made.

import { get } from "./api.js";
import { html, useState } from "./ui.js";

export function Type({ name }) {
  const [known, setKnown] = useState(null);
  const opened = async (event) => {
    if (!event.target.open || known?.implementations) return;
    try {
      setKnown(await get(`node_definitions/${encodeURIComponent(name)}`));
    } catch (error) {
      setKnown({ problem: error.message });
    }
  };
  return html`<details class="type small" onToggle=${opened}><summary class="mono clip">${name}</summary>
    ${!known && html`<p class="muted" aria-busy="true">One moment…</p>`}
    ${known?.problem && html`<p class="error">${known.problem}</p>`}
    ${known?.implementations?.map((one, number) => html`<${Implementation} key=${number} one=${one} number=${number} of=${known.implementations.length} />`)}
  </details>`;
}

function Implementation({ one, number, of }) {
  const facts = [
    ["Made by", one.resource],
    ["Set up by", one.contextualisation],
    ["Configured by", one.config_management],
    ["Checked by", one.health_check.join(", ")],
  ];
  return html`${of > 1 && html`<p class="muted">${number + 1} of ${of} ways:</p>`}
    <dl>${facts.filter(([, value]) => value).map(([key, value]) => html`<div key=${key}><dt>${key}</dt><dd class="mono">${value}</dd></div>`)}</dl>`;
}

// The node definitions that the service has; null while they are not known.
export function Types({ names }) {
  return html`<aside class="panel aside"><h2>Types of nodes</h2>
    <p class="small muted">The node definitions that this service has. A description names one as <code>type</code>.</p>
    ${names === null ? html`<p class="muted">One moment…</p>` : names.length
      ? html`<ul class="plain-list">${names.slice(0, 200).map((name) => html`<li key=${name}><${Type} name=${name} /></li>`)}</ul>`
      : html`<p>There are none yet. Import some where the service runs:</p><pre>occopus-import examples/quickstart/nodes.yaml</pre>`}
  </aside>`;
}
