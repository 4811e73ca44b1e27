// What happened, the latest first.

import { Time } from "./time.js";
import { Sign } from "./states.js";
import { html, useMemo, useState } from "./ui.js";

const SHOWN = 40;
const LOOKS = {
  "node ready": "ready", "node reconfigured": "ready", "node rechecked": "ready", "node recovered": "ready", "infrastructure ready": "ready", "infrastructure updated": "ready", unfrozen: "ready",
  "node failed": "failed", "rolling back": "failed", frozen: "temp_failed", held: "temp_failed", "node unhealthy": "temp_failed", "node outdated": "temp_failed",
  "node unconfirmed": "temp_failed", "scale clipped": "temp_failed", "scale refused": "temp_failed", "replacement refused": "temp_failed", "replacement done": "ready",
  "node dropping": "shutdown", "node dropped": "shutdown", "infrastructure dropped": "shutdown",
};

export function Events({ state }) {
  const [most, setMost] = useState(SHOWN);
  const latest = useMemo(() => state.events.toReversed(), [state.events]);
  return html`<section class="panel events" aria-labelledby="events">
    <div class="section-head"><h2 id="events">Events</h2>
      <span class=${state.connected ? "live on" : "live"}>${state.connected ? "live" : "not live"}</span></div>
    ${latest.length ? html`<ol class="log" tabindex="0" aria-labelledby="events">${latest.slice(0, most).map((event) => html`<${Row} key=${event.id} event=${event} />`)}</ol>` : html`<p class="muted">Nothing so far.</p>`}
    ${latest.length > most && html`<p class="more"><button onClick=${() => setMost(most + SHOWN)}>Show earlier ones</button></p>`}
  </section>`;
}

function Row({ event }) {
  return html`<li><${Sign} state=${LOOKS[event.event] ?? "pending"} />
    <div class="what"><span class="kind">${event.event}</span>${event.node && html`${" "}<b>${event.node}</b>`}
      ${event.text && html`<p class="text">${event.text}</p>`}</div>
    <${Time} at=${event.at} /></li>`;
}
