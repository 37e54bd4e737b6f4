import type { Page } from "playwright-core";

/** Levels of a page's headings in their order. */
export async function headingLevels(page: Page): Promise<number[]> {
  const names = await page.locator("h1, h2, h3, h4, h5, h6").evaluateAll((headings) =>
    headings.map(({ tagName }: { readonly tagName: string }) => tagName)
  );
  return names.map((name) => Number(name.slice(1)));
}

/** What makes a page wider than its window, with both widths; nothing should. */
export async function overflows(page: Page): Promise<string[]> {
  return await page.evaluate(`(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    if (scrollWidth <= clientWidth) return [];
    const wide = [...document.querySelectorAll("body *")].filter((one) =>
      !one.closest(".wide") && one.getBoundingClientRect().right > clientWidth + 1
    );
    return [scrollWidth + " > " + clientWidth, ...wide.map((one) => one.outerHTML.slice(0, 80))];
  })()`);
}

/**
 * Visible texts whose contrast with what is behind them is below WCAG's 4.5 (3 for large letters).
 *
 * Behind a text of an SVG is the box of its group, if it has one, else the page.
 */
export async function lowContrasts(page: Page): Promise<string[]> {
  return await page.evaluate(`(${findLowContrasts})()`);
}

/** Runs in the browser, whose types this program does not have. */
const findLowContrasts = `() => {
  const parse = (color) => {
    const [r = 0, g = 0, b = 0, a = 1] = (color.match(/[\\d.]+/g) ?? []).map(Number);
    return { r, g, b, a };
  };
  const luminance = ({ r, g, b }) => {
    const [x, y, z] = [r, g, b].map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const box = at.matches("g.node") ? at.querySelector("path, polygon") : null;
      const color = parse(box ? getComputedStyle(box).fill : getComputedStyle(at).backgroundColor);
      if (color.a === 1 && (box || getComputedStyle(at).backgroundColor !== "rgba(0, 0, 0, 0)")) return color;
    }
    return { r: 255, g: 255, b: 255 };
  };
  const found = [];
  let looked = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const words = walker.currentNode.textContent.trim();
    if (words === "" || element.closest("style, title") || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const drawn = element.namespaceURI.endsWith("svg");
    const ink = luminance(parse(drawn ? style.fill : style.color));
    const ground = luminance(behind(element));
    const ratio = (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    looked++;
    if (ratio < (large ? 3 : 4.5)) found.push(words.slice(0, 40) + ": " + ratio.toFixed(2));
  }
  if (looked < 50) found.push("only " + looked + " texts were looked at");
  return found;
}`;

/** What a page complains of, and what it asks of any host. */
export function watch(page: Page): string[] {
  const trouble: string[] = [];
  page.on("console", (message) => trouble.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => trouble.push(`error: ${error.message}`));
  page.on("request", (request) => {
    if (!/^(file|data):/.test(request.url())) trouble.push(`request: ${request.url()}`);
  });
  return trouble;
}

/** The texts of a table, hidden or not, by what it is called. */
export async function tableOf(page: Page, label: string): Promise<string[][]> {
  const lines = await page.locator(`[role=region][aria-label="${label}"] tr`).all();
  return await Promise.all(
    lines.map(async (line) => await line.locator("th, td").allTextContents()),
  );
}
