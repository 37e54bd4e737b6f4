/** A part of the page under a heading of its own. */
export interface PagePart {
  /** Anchor of the heading. */
  readonly id: string;
  readonly title: string;
  readonly html: string;
}
