// The outputs of an infrastructure, as its description declares them.

import { html } from "./ui.js";

const LINK = /^https?:\/\/[^\s]+$/i; // the only schemes that become links

export function Outputs({ report }) {
  const outputs = Object.entries(Object.values(report)[0]?.outputs ?? {}); // every node of the report has the same
  if (!outputs.length) return null;
  return html`<section class="panel" aria-labelledby="outputs"><h2 id="outputs">Outputs</h2>
    <dl class="outputs">${outputs.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd><${Value} value=${value} /></dd></div>`)}</dl></section>`;
}

function Value({ value }) {
  if (value === null) return html`<span class="muted">no value at present</span>`;
  return LINK.test(value) ? html`<a href=${value} target="_blank" rel="noopener noreferrer">${value}</a>` : value;
}
