import { arrowsOf, type Graph, type GraphNode } from "../graph.ts";
import { escapeMarkup } from "../../words.ts";
import { type Look, looksOf, nodeWords, STATE_LOOKS } from "./look.ts";

/** A graph as the text of a Graphviz program; nodes are numbered, since any letter may be in a name. */
export function dotText(graph: Graph): string {
  const nodes = graph.nodes.map((node, place) => {
    const { name, fill, line } = STATE_LOOKS[node.state];
    const label = `${quoted(node.name)}\\n${quoted(nodeWords(node))}`;
    return `  n${place} [label="${label}" class="${name}" fillcolor="${fill}" color="${line}"]`;
  });
  const arrows = arrowsOf(graph).map(({ from, to, inputs }) =>
    `  n${from} -> n${to} [label=" ${quoted(inputs.join(", "))} "]`
  );
  return `digraph {
  bgcolor="transparent"
  node [shape=box style="rounded,filled" fontname="Helvetica" fontsize=14 margin="0.2,0.07"]
  edge [fontname="Helvetica" fontsize=11 arrowsize=0.7]
${[...nodes, ...arrows].join("\n")}
}
`;
}

/** Text inside quotes: Graphviz knows escapes after a backslash, and entities of HTML. */
function quoted(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("\\", "\\\\").replaceAll('"', '\\"')
    .replaceAll(/\s+/g, " ");
}

/** A graph as SVG, laid out by Graphviz; light on dark where the viewer prefers that. */
export async function graphSvg(graph: Graph): Promise<string> {
  // The engine is 1 MB of WebAssembly and takes 0.2 s to load.
  const { Graphviz } = await import("@hpcc-js/wasm-graphviz");
  const engine = await Graphviz.load();
  const drawn = engine.layout(dotText(graph), "svg", "dot");
  const [, width, height] = /<svg width="([\d.]+)pt" height="([\d.]+)pt"/.exec(drawn) ?? [];
  return drawn
    .slice(drawn.indexOf("<svg"))
    .replaceAll(/<!--.*?-->\n?/gs, "")
    .replaceAll(/ xmlns:xlink="[^"]*"| xml:space="[^"]*"/g, "")
    .replaceAll(/<title>(.*?)<\/title>/g, (_, title) => titleOf(title, graph.nodes))
    .replace(
      /<svg [^>]*?(viewBox="[^"]*")[^>]*>/,
      `<svg class="graph-drawing" role="img" aria-label="Graph of ${graph.nodes.length} steps" ` +
        `width="${width}" height="${height}" $1 xmlns="http://www.w3.org/2000/svg">\n` +
        `<style>${styleOf(looksOf(graph.nodes))}</style>`,
    );
}

function titleOf(title: string, nodes: readonly GraphNode[]): string {
  const [from, to] = [...title.matchAll(/n(\d+)/g)].map(([, place]) => nodes[Number(place)]);
  if (from === undefined) return "";
  if (to !== undefined) return `<title>${escapeMarkup(`${from.name} → ${to.name}`)}</title>`;
  const reason = from.reason ? `: ${from.reason}` : "";
  return `<title>${escapeMarkup(`${from.name}: ${nodeWords(from)}${reason}`)}</title>`;
}

function styleOf(looks: readonly Look[]): string {
  const own = ".graph-drawing";
  const colored = ({ name, fill, line }: Pick<Look, "name" | "fill" | "line">) =>
    `${own} .${name} path{fill:${fill};stroke:${line}}`;
  return [
    `${own}{color:#24292f;font-family:Helvetica,Arial,sans-serif}`,
    // Smaller than laid out: the viewer's letters may be wider than the engine's.
    `${own} .node text{font-size:12.5px}${own} .edge text{font-size:10.5px}`,
    `${own} text{fill:currentColor}${own} .edge path{stroke:currentColor;stroke-opacity:.55}`,
    `${own} .edge polygon{fill:currentColor;stroke:currentColor}`,
    ...looks.map(colored),
    "@media screen and (prefers-color-scheme:dark){",
    `${own}{color:#d0d7de}`,
    ...looks.map(({ name, dark }) => colored({ name, ...dark })),
    "}",
  ].join("");
}
