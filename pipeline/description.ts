/**
 * What something on disk really is, as data that any command can show.
 *
 * The program's packages give it for what they alone can read; the pipeline only lays it out.
 */
export interface Description {
  /** What it is, in a line. */
  readonly title: string;
  readonly sections: readonly Section[];
  /** What contradicts itself or is not as it should be, a sentence each. */
  readonly warnings: readonly string[];
  /** What sets it apart from others of its kind, in a few words. */
  readonly variant?: string;
  /** Figures by which it is compared with them. */
  readonly figures: readonly Figure[];
}

/** A part of a description under a heading. */
export interface Section {
  readonly title: string;
  /** Facts: a name and a value each. */
  readonly facts?: readonly (readonly [name: string, value: string])[];
  /** Sentences. */
  readonly lines?: readonly string[];
  readonly table?: Table;
  readonly charts?: readonly Chart[];
  readonly pictures?: readonly Picture[];
}

/** Rows of texts under headings. */
export interface Table {
  readonly columns: readonly TableColumn[];
  readonly rows: readonly (readonly string[])[];
}

/** A column of a table. */
export interface TableColumn {
  readonly heading: string;
  /** Whether its texts are numbers, which stand flush right. */
  readonly number?: boolean;
}

/** Series of numbers over something counted, such as layers. Charts of one title can share a plot. */
export interface Chart {
  readonly title: string;
  /** What is counted. */
  readonly across: string;
  /** What is measured. */
  readonly up: string;
  readonly series: readonly Series[];
}

/** One line of a chart. */
export interface Series {
  /** Empty where the chart has one only. */
  readonly name: string;
  readonly points: readonly (readonly [at: number, value: number])[];
}

/** A picture that was drawn before, as SVG. */
export interface Picture {
  readonly title: string;
  readonly svg: string;
}

/** A number by which things are compared, with its text. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly text: string;
  /** What plots of quality against size make of it; a mere number unless said. */
  readonly axis?: "quality" | "size";
}

/** How much to look at. */
export interface DescribeOptions {
  /** Kind of the artifact, where it is one. */
  readonly kind?: string | undefined;
  /** Reads all values too, which takes as long as reading the files. */
  readonly deep?: boolean;
  readonly signal?: AbortSignal;
}

/**
 * Describes a file or directory by what is in it; undefined where it is nothing the program knows.
 *
 * What is wrong with it is a warning of the description; it throws only for what it cannot read at
 * all.
 */
export type Describe = (
  path: string,
  options: DescribeOptions,
) => Promise<Description | undefined>;
