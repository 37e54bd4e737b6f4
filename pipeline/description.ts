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
  /** Figures by which it is compared with them; none unless said. */
  readonly figures?: readonly Figure[];
  /** What a run that made or reused it ends with. */
  readonly headline?: Headline;
}

/** The gist of something, for who reads no more of it: short enough for a terminal of 80 columns. */
export interface Headline extends Passage {
  /** Whether it has the scores of the steps before, so that nobody else needs to tell them. */
  readonly tellsScores?: boolean;
}

/** Sentences and a table under a heading. */
export interface Passage {
  readonly title: string;
  /** Sentences. */
  readonly lines?: readonly string[];
  readonly table?: Table;
  /** Remarks on the table, below it. */
  readonly notes?: readonly string[];
}

/** A part of a description under a heading. */
export interface Section extends Passage {
  /** Facts: a name and a value each. */
  readonly facts?: readonly (readonly [name: string, value: string])[];
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

/** Series of numbers over something counted or measured, such as layers. */
export interface Panel {
  /** What the level axis has. */
  readonly across: string;
  /** What the upright axis has: what was measured. */
  readonly up: string;
  readonly series: readonly Series[];
}

/** A panel with a title. Charts of one title can share a plot. */
export interface Chart extends Panel {
  readonly title: string;
  /**
   * How it is drawn: lines unless said; a grid has a row of colored fields for each series, bars stand
   * beside each other over places at even distances, for counts.
   */
  readonly form?: "lines" | "grid" | "bars";
}

/** One line of a panel. */
export interface Series {
  /** Empty where there is one only. */
  readonly name: string;
  readonly points: readonly (readonly [at: number, value: number])[];
}

/** A picture to be drawn: panels one below the other. */
export interface Plot {
  /** Name of its file, without an ending. */
  readonly name: string;
  readonly title: string;
  /** How points are drawn: joined by lines over whole numbers, or each with the name of its series. */
  readonly form: "lines" | "points";
  /** They have the same series in the same order; one without points is left out. */
  readonly panels: readonly Panel[];
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
  /** What it is the mean of, to be held against the same parts scored elsewhere. */
  readonly parts?: FigureParts;
}

/** A score part by part, such as window by window of a text. */
export interface FigureParts {
  /** What the parts are: only equal ones are held against each other. */
  readonly of: string;
  /** Read when they are asked for; undefined where they are gone. */
  values(): Promise<readonly number[] | undefined>;
  /**
   * How far this is from what the same parts scored before, with its error; undefined where its own are
   * gone.
   */
  difference(before: readonly number[]): Promise<string | undefined>;
}

/** How much to look at. */
export interface DescribeOptions {
  /** Kind of the artifact, where it is one. */
  readonly kind?: string | undefined;
  /** Reads all values too, which takes as long as reading the files. */
  readonly deep?: boolean;
  /** Asks for the headline alone: an artifact of a kind that has none is not looked at. */
  readonly headlineOnly?: boolean;
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
