// Where the boxes of the graph are, and how lines go around them. Nothing here is drawn.

import { Graph as Layout, layout } from "./lib/dagre.js";

const FEWEST = 3; // nodes that are folded into one box
const SMALL = 12; // nodes of a graph that is shown as it is
const natural = new Intl.Collator("en", { numeric: true }).compare;

export const byName = (one, other) => natural(one, other);

// The nodes as boxes: in a large graph those that differ by a number alone are one box, unless it is in `open`.
export function boxed(nodes, open) {
  const families = new Map();
  for (const node of nodes) {
    const stem = /^(.*?)[-_.]?\d+$/.exec(node.name)?.[1] ?? node.name;
    const key = `${stem} ${node.type}`;
    families.set(key, [...(families.get(key) ?? []), node]);
  }
  const boxes = [], homes = new Map();
  for (const [key, members] of families) {
    members.sort((one, other) => natural(one.name, other.name));
    const folds = nodes.length > SMALL && members.length >= FEWEST;
    const units = folds && !open.has(key) ? [members] : members.map((node) => [node]);
    for (const unit of units) {
      const name = unit.length > 1 ? `${unit[0].name}…${/\d+$/.exec(unit.at(-1).name)}` : unit[0].name;
      const box = { id: unit.length > 1 ? `fold ${key}` : `node ${name}`, family: key, folds, name, nodes: unit };
      boxes.push(box);
      for (const node of unit) homes.set(node.name, box.id);
    }
  }
  for (const box of boxes) {
    const needed = box.nodes.flatMap((node) => node.needs.map((other) => homes.get(other)));
    box.needs = [...new Set(needed)].filter((other) => other && other !== box.id);
  }
  return boxes.sort((one, other) => natural(one.name, other.name));
}

// Places of boxes and the lines between them; `along` is the axis in which arrows lead.
export function arranged(boxes, narrow) {
  const size = { width: narrow ? 172 : 196, height: 84 };
  const plan = new Layout();
  plan.setGraph({ rankdir: narrow ? "TB" : "LR", nodesep: narrow ? 14 : 20, ranksep: narrow ? 44 : 72, marginx: 4, marginy: 4 });
  plan.setDefaultEdgeLabel(() => ({}));
  for (const box of boxes) plan.setNode(box.id, { ...size });
  for (const box of boxes) for (const other of box.needs) plan.setEdge(box.id, other);
  layout(plan);
  const places = Object.fromEntries(boxes.map((box) => [box.id, { ...size, x: plan.node(box.id).x, y: plan.node(box.id).y }]));
  const [along, across] = narrow ? ["y", "x"] : ["x", "y"];
  inOrder(boxes, places, along, across);
  const half = (narrow ? size.height : size.width) / 2;
  const lines = plan.edges().map((edge) => ({ key: `${edge.v} ${edge.w}`, path: routed(places[edge.v], places[edge.w], plan.edge(edge).points, places, along, across, half) }));
  const { width, height } = plan.graph();
  return { width, height, places, lines };
}

// Boxes of one family that stand in one row change places among each other until they are in the order of their names.
function inOrder(boxes, places, along, across) {
  const rows = new Map();
  for (const box of boxes) {
    const key = `${box.family} ${Math.round(places[box.id][along])}`;
    rows.set(key, [...(rows.get(key) ?? []), box]);
  }
  for (const row of rows.values()) {
    const spots = row.map((box) => places[box.id][across]).sort((one, other) => one - other);
    row.forEach((box, number) => {
      places[box.id][across] = spots[number];
    });
  }
}

// A line bends between rows of boxes only. Past a row it goes straight, in the lane that the layout has left free for it.
function routed(from, to, points, places, along, across, half) {
  const rows = [...new Set(Object.values(places).map((place) => Math.round(place[along])))];
  const towards = Math.sign(to[along] - from[along]) || 1;
  const stops = [[from[along] + towards * half, from[across]]];
  for (const point of points.slice(1, -1)) {
    const row = rows.find((one) => Math.abs(one - point[along]) < 2);
    if (row !== undefined) stops.push([row - towards * half, point[across]], [row + towards * half, point[across]]);
  }
  stops.push([to[along] - towards * half, to[across]]);
  const at = (main, side) => (along === "x" ? `${main.toFixed(1)} ${side.toFixed(1)}` : `${side.toFixed(1)} ${main.toFixed(1)}`);
  let path = `M${at(...stops[0])}`;
  for (let number = 1; number < stops.length; number += 1) {
    const [main, side] = stops[number - 1], [next, other] = stops[number];
    const middle = (main + next) / 2;
    path += number % 2 ? `C${at(middle, side)} ${at(middle, other)} ${at(next, other)}` : `L${at(next, other)}`;
  }
  return path;
}
