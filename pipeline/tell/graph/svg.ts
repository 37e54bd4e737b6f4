import type { Graph, GraphNode } from "../graph.ts";
import { dotText } from "./dot.ts";
import { escapeMarkup } from "../../words.ts";
import { type Look, looksOf, nodeWords } from "./look.ts";

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
