// The graph of nodes: an arrow leads from a node to one it needs.

import { Graph as Layout, layout } from "./lib/dagre.js";
import { counted, inWords, look, Meter, Sign, word, worst } from "./states.js";
import { html, useEffect, useMemo, useRef, useState } from "./ui.js";

const MOST = 150; // nodes; more are no picture any more
const SIZE = { width: 196, height: 84 };

export function Graph({ nodes, report, choose }) {
  const frame = useRef();
  const [narrow, setNarrow] = useState(false);
  useEffect(() => {
    const watch = new ResizeObserver(([entry]) => setNarrow(entry.contentRect.width < 520));
    watch.observe(frame.current);
    return () => watch.disconnect();
  }, []);
  const shape = JSON.stringify(nodes.map((node) => [node.name, node.needs]));
  const plan = useMemo(() => (nodes.length > MOST ? null : arrange(nodes, narrow)), [shape, narrow]);
  return html`<section class="panel graph" aria-labelledby="graph"><h2 id="graph" class="spoken">Nodes and what they need</h2>
    <div class="canvas" ref=${frame}>${plan ? html`<${Drawing} plan=${plan} nodes=${nodes} report=${report} choose=${choose} />`
      : html`<p class="muted">${nodes.length} nodes are too many to draw; all of them are listed below.</p>`}</div></section>`;
}

function arrange(nodes, narrow) {
  const plan = new Layout();
  plan.setGraph({ rankdir: narrow ? "TB" : "LR", nodesep: 20, ranksep: narrow ? 36 : 64, marginx: 2, marginy: 2 });
  plan.setDefaultEdgeLabel(() => ({}));
  for (const node of nodes) plan.setNode(node.name, { ...SIZE });
  for (const node of nodes) for (const other of node.needs) if (plan.hasNode(other)) plan.setEdge(node.name, other);
  layout(plan);
  const { width, height } = plan.graph();
  const places = Object.fromEntries(nodes.map((node) => [node.name, plan.node(node.name)]));
  return { width, height, places, lines: plan.edges().map((edge) => ({ ...edge, points: plan.edge(edge).points })) };
}

function Drawing({ plan, nodes, report, choose }) {
  return html`<div class="drawing" style=${{ width: `${plan.width}px`, height: `${plan.height}px` }}>
    <svg width=${plan.width} height=${plan.height} aria-hidden="true">
      <defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" /></marker></defs>
      ${plan.lines.map((line) => html`<path key=${`${line.v} ${line.w}`} class="edge" d=${curve(line.points)} marker-end="url(#arrow)" />`)}
    </svg>
    <ul>${nodes.map((node) => html`<${Card} key=${node.name} node=${node} place=${plan.places[node.name]} known=${report[node.name]} choose=${choose} />`)}</ul>
  </div>`;
}

function curve(points) {
  const [first, ...rest] = points.map(({ x, y }) => `${x.toFixed(1)} ${y.toFixed(1)}`);
  return `M${first}L${rest.join("L")}`;
}

function Card({ node, place, known, choose }) {
  const states = Object.values(known?.instances ?? {}).map((one) => one.state);
  const counts = counted(states), state = worst(counts), target = known?.scaling.target ?? 0;
  const left = `${place.x - place.width / 2}px`, top = `${place.y - place.height / 2}px`;
  const empty = states.length === 0;
  return html`<li style=${{ left, top, width: `${place.width}px`, height: `${place.height}px` }}>
    <button class=${`card ${empty ? "shutdown" : look(state)}`} onClick=${() => choose(node.name)}>
      <span class="card-head"><${Sign} state=${empty ? "shutdown" : state} /><b class="clip">${node.name}</b><span class="number">${counts.ready ?? 0}/${target}</span></span>
      <${Meter} counts=${counts} target=${target} />
      <span class="small clip state-words">${empty ? "no instance" : Object.keys(counts).length === 1 ? word(state) : inWords(counts)}</span>
      ${node.needs.length > 0 && html`<span class="spoken">needs ${node.needs.join(", ")}</span>`}
    </button></li>`;
}
