import type { Browser, Page } from "playwright-core";
import { watch } from "./page_check.ts";
import type { ServedFake } from "./server_stub.ts";

/** The page to chat, opened; `trouble` tells what it complains of, but for its own requests. */
export interface ChatPage {
  readonly page: Page;
  readonly trouble: () => string[];
}

/** Opens the page of a server, and waits until it can be typed at. */
export async function openChat(
  browser: Browser,
  { url }: ServedFake,
  { width = 1280, colorScheme = "light" as "light" | "dark" } = {},
): Promise<ChatPage> {
  const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme });
  const trouble = watch(page);
  await page.goto(url);
  // A test that types before has the browser complain.
  await page.locator(":focus").waitFor();
  return { page, trouble: () => trouble.filter((line) => !line.startsWith(`request: ${url}/`)) };
}

/** Waits until nothing is being answered. */
export async function answered(page: Page): Promise<void> {
  await page.locator("#send:visible").waitFor();
}

/** Says something and waits until it is answered. */
export async function say(page: Page, text: string): Promise<void> {
  await page.getByText("Loading").waitFor({ state: "detached" });
  await page.fill("#text", text);
  await page.locator("#text").press("Enter");
  await answered(page);
}

/** What was asked of the server, as the model read it. */
export function prompts({ engine, tokenizer }: ServedFake): string[] {
  return engine.asked.map(({ prompt }) => tokenizer.decode(prompt));
}
