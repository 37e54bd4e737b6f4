import type { CodedWeight } from "../../quant/coded_weight.ts";
import { schemeKind, type WeightScheme } from "../../quant/schemes.ts";

/** Scales and zeros of a linear as `scale.pt` holds them; see `readGrid()`. */
export interface StoredGrid {
  readonly rows: number;
  readonly columns: number;
  readonly group: WeightScheme["group"];
  readonly zero: WeightScheme["zero"];
  /** [rows, groups]; with two levels integers. */
  readonly scales: Float32Array<ArrayBuffer>;
  /** Like `scales`; not there without a zero point. */
  readonly zeros?: Float32Array<ArrayBuffer>;
  /** With two levels: [rows]. */
  readonly rowScales?: Float32Array<ArrayBuffer>;
}

/** Codes of some rows before it is known what range they have. */
export interface RawCodes {
  /** [rows, columns], as the scales and zeros give them. */
  readonly codes: Int16Array<ArrayBuffer>;
  readonly min: number;
  readonly max: number;
  /** Largest distance of a value from its code, in steps of the codes. */
  readonly worst: number;
}

/** The range of all codes of a model. */
export interface CodeForm {
  readonly bits: WeightScheme["bits"];
  /** Whether codes with a zero point are two's complement, which ours are not. */
  readonly signed: boolean;
}

/**
 * Half-precision weights lie within 2^-11 of what their codes stand for: 0.06 of a step for codes up
 * to 127 steps from 0; in bfloat16 0.25.
 */
const WORST = 0.3;

/**
 * Quantizes dequantized weights again, with the scales they were made with: values [rows, columns]
 * of the linear's rows from `first` on.
 */
export function rawCodes(values: Float32Array, grid: StoredGrid, first: number): RawCodes {
  const { columns, scales, zeros, rowScales, zero } = grid;
  const groups = scales.length / grid.rows;
  const width = columns / groups;
  const codes = new Int16Array(values.length);
  let [min, max, worst] = [Infinity, -Infinity, 0];
  for (let i = 0, at = first * groups; i < values.length; at++) {
    const scale = scales[at]!;
    const z = zeros?.[at] ?? 0;
    const before = zero === "post_scale" ? z : 0;
    const after = zero === "pre_scale" ? z : 0;
    const row = rowScales?.[Math.floor(at / groups)];
    for (const end = i + width; i < end; i++) {
      let value = values[i]!;
      if (row !== undefined) {
        value /= row;
        const whole = Math.round(value);
        const off = Math.abs(value - whole);
        if (!(off <= worst)) worst = off === off ? off : Infinity;
        value = whole;
      }
      const step = (value + before) / scale;
      const whole = Math.round(step);
      const off = Math.abs(step - whole);
      if (row !== undefined) {
        // Integers over integer scales leave nothing over.
        if (!(off <= 1e-6)) worst = Infinity;
      } else if (!(off <= worst)) worst = off === off ? off : Infinity;
      const code = whole + after;
      if (code < min) min = code;
      if (code > max) max = code;
      codes[i] = code;
    }
  }
  return { codes, min, max, worst };
}

/** The narrowest form that has room for codes seen in a model; undefined where none has. */
export function codeForm(
  { min, max }: Pick<RawCodes, "min" | "max">,
  zero: WeightScheme["zero"],
): CodeForm | undefined {
  for (const bits of [2, 3, 4, 8] as const) {
    const half = 2 ** (bits - 1);
    if (zero === "none") {
      if (Math.max(-min, max) <= half - 1) return { bits, signed: true };
    } else if (min >= 0) {
      if (max <= 2 * half - 1) return { bits, signed: false };
    } else if (min >= -half && max <= half - 1) return { bits, signed: true };
  }
  return undefined;
}

/** How far codes lie from those of ours, which are unsigned with a zero point or two levels. */
export function codeShift({ bits, signed }: CodeForm, { zero, rowScales }: StoredGrid): number {
  return signed && !(zero === "none" && !rowScales) ? 2 ** (bits - 1) : 0;
}

/** What the weights of a linear mean here. */
export function storedScheme(
  { bits }: CodeForm,
  { group, zero, levels }: Pick<WeightScheme, "group" | "zero" | "levels">,
): WeightScheme {
  // Two levels take unsigned codes, whose zeros are the shift.
  const unsigned = zero === "none" && schemeKind({ group, levels }) === "two_level";
  return { bits, zero: unsigned ? "post_scale" : zero, group, levels };
}

/** Throws unless values lie on the grid, and their codes in the range of the model's. */
export function checkCodes(
  { min, max, worst }: Omit<RawCodes, "codes">,
  { form, grid, name }: {
    readonly form: CodeForm;
    readonly grid: StoredGrid;
    readonly name: string;
  },
): void {
  if (!(worst <= WORST)) {
    throw new RangeError(
      `Cannot recover the codes of "${name}": a weight lies ${
        worst < 1 ? `${worst.toFixed(2)} of a step` : "far"
      } beside its grid, expected at most ${WORST}; model.pt and scale.pt must be of one run`,
    );
  }
  const half = 2 ** (form.bits - 1);
  const [low, high] = grid.zero === "none"
    ? [1 - half, half - 1]
    : form.signed
    ? [-half, half - 1]
    : [0, 2 * half - 1];
  if (min >= low && max <= high) return;
  throw new RangeError(
    `Cannot recover the codes of "${name}": they go from ${min} to ${max}, expected ${low} to ${high}`,
  );
}

/** A linear's weight from all its codes, [rows, columns] shifted by `codeShift()`. */
export function codedWeight(
  codes: Uint8Array<ArrayBuffer>,
  { form, grid, name }: {
    readonly form: CodeForm;
    readonly grid: StoredGrid;
    readonly name: string;
  },
): CodedWeight {
  const { rows, columns, scales, zeros, rowScales } = grid;
  const scheme = storedScheme(form, { ...grid, levels: rowScales ? 2 : 1 });
  const shift = codeShift(form, grid);
  const given = { scheme, rows, columns };
  if (rowScales) {
    // Zeros of both domains are kept times their scale.
    const products = scales.map((scale, i) => {
      const zero = zeros?.[i] ?? 0;
      return grid.zero === "pre_scale" ? (zero + shift) * scale : zero + shift * scale;
    });
    return {
      ...given,
      codes,
      rowScales: halves(rowScales, name),
      scales: Uint8Array.from(integers(scales, { name, of: "scale.1", from: 1, to: 127 })),
      zeros: Int8Array.from(integers(products, { name, of: "its zeros", from: -128, to: 127 })),
    };
  }
  const kept = halves(scales, name);
  if (scheme.zero === "none") return { ...given, codes: new Int8Array(codes.buffer), scales: kept };
  if (scheme.zero === "pre_scale") {
    const shifted = zeros!.map((zero) => zero + shift);
    const most = 2 ** scheme.bits - 1;
    const own = integers(shifted, { name, of: "its zeros", from: 0, to: most });
    return { ...given, codes, scales: kept, zeros: Uint8Array.from(own) };
  }
  const moved = Float16Array.from(zeros!, (zero, i) => zero + shift * scales[i]!);
  return { ...given, codes, scales: kept, zeros: moved };
}

function halves(scales: Float32Array, name: string): Float16Array<ArrayBuffer> {
  const kept = new Float16Array(scales);
  const at = kept.findIndex((scale, i) => scale !== scales[i] || !(scale > 0));
  if (at < 0) return kept;
  throw new RangeError(
    `Cannot keep the scales of "${name}": one is ${
      scales[at]
    }, expected half-precision numbers above 0`,
  );
}

function integers(
  values: Float32Array<ArrayBuffer>,
  { name, of, from, to }: {
    readonly name: string;
    readonly of: string;
    readonly from: number;
    readonly to: number;
  },
): Float32Array<ArrayBuffer> {
  const bad = values.find((value) => !(Number.isInteger(value) && value >= from && value <= to));
  if (bad === undefined) return values;
  throw new RangeError(
    `Cannot recover the codes of "${name}": ${of} has ${bad}, expected integers from ${from} to ${to}`,
  );
}
