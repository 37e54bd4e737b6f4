import { integerRule, MOST, numberRule, PLACES } from "../number_rules.ts";
import type { WrittenSchema } from "../rules.ts";
import { refuseKeyword, refuseSchema } from "./demands.ts";
import { KEYWORDS } from "./keywords.ts";
import type { SchemaPart } from "./part.ts";

/** The distance to an exclusive bound of numbers. */
const STEP = 10 ** -PLACES;

/** Reads the bounds of numbers, with fractions or without. */
export function readNumber(type: "number" | "integer", part: SchemaPart): WrittenSchema {
  const { path } = part;
  const bounds = boundsOf(type, part);
  const { multipleOf } = bounds;
  if (multipleOf !== undefined && !(type === "integer" && multipleOf === 1)) {
    refuseKeyword(`${path}.multipleOf`);
  }
  const whole = type === "integer";
  const above = (bound: number) => whole ? Math.floor(bound) + 1 : bound + STEP;
  const below = (bound: number) => whole ? Math.ceil(bound) - 1 : bound - STEP;
  const least = largest([
    bounds["minimum"],
    bounds["exclusiveMinimum"] === undefined ? undefined : above(bounds["exclusiveMinimum"]),
  ]);
  const most = largest([
    bounds["maximum"] === undefined ? undefined : -bounds["maximum"],
    bounds["exclusiveMaximum"] === undefined ? undefined : -below(bounds["exclusiveMaximum"]),
  ]);
  const [minimum, maximum] = [
    least === undefined ? undefined : whole ? Math.ceil(least) : least,
    most === undefined ? undefined : whole ? Math.floor(-most) : -most,
  ];
  for (const bound of [minimum, maximum]) {
    if (bound === undefined || Math.abs(bound) <= MOST) continue;
    refuseSchema(path, `has the bound ${bound}`, `at most ${MOST}`);
  }
  if ((whole ? integerRule : numberRule)(minimum, maximum) === undefined) {
    refuseSchema(path, "has bounds with nothing between", "a minimum below the maximum");
  }
  return {
    type,
    ...minimum !== undefined && { minimum },
    ...maximum !== undefined && { maximum },
  };
}

function boundsOf(
  type: "number" | "integer",
  { schema, path }: SchemaPart,
): Readonly<Record<string, number>> {
  return Object.fromEntries(
    KEYWORDS[type]!.filter((key) => schema[key] !== undefined).map((key) => {
      const value = schema[key];
      if (typeof value !== "number" || !Number.isFinite(value)) {
        refuseSchema(`${path}.${key}`, "is something else", "a number");
      }
      return [key, value];
    }),
  );
}

function largest(values: readonly (number | undefined)[]): number | undefined {
  const said = values.filter((value) => value !== undefined);
  return said.length === 0 ? undefined : Math.max(...said);
}
