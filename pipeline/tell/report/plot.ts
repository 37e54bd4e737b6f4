import { escapeMarkup } from "../../words.ts";

/** Widths a plot is drawn in: for screens and paper, and for phones, where text would be too small. */
const WIDTHS = { roomy: 960, narrow: 358 };

/** A plot in both widths, of which a page shows the one that fits. */
export async function plotHtml(
  name: string,
  { title, headed = false, draw }: {
    /** What it shows, for those who do not see it. */
    readonly title: string;
    /** Whether a heading says the same already. */
    readonly headed?: boolean;
    draw(name: string, width: number): Promise<string>;
  },
): Promise<string> {
  const drawn = await Promise.all(
    Object.entries(WIDTHS).map(async ([size, width]) => {
      const svg = await draw(`${name}-${size}`, width);
      const labelled = svg.replace(
        / role="img"/,
        ` role="img" aria-label="${escapeMarkup(title)}"`,
      );
      return `<div class="${size}">${labelled}</div>`;
    }),
  );
  const caption = headed ? "" : `<figcaption>${escapeMarkup(title)}</figcaption>`;
  return `<figure>\n${drawn.join("\n")}\n${caption}</figure>`;
}
