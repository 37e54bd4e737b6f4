import { arrowsOf, type Graph } from "../graph.ts";
import { nodeWords, STATE_LOOKS } from "./look.ts";

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
