import type { BinaryOperator, ComparisonOperator } from "./ast.ts";
import { checkSize, TEMPLATE_LIMITS } from "./budget.ts";
import { formatted } from "./percent_format.ts";
import { TemplateError } from "./template_error.ts";
import {
  iterate,
  numberOf,
  NumberRange,
  type TemplateValue,
  toIndex,
  toKey,
  Tuple,
  typeName,
  Undefined,
} from "./values.ts";

/** What an operator makes of two values, by Python's rules. */
export function operate(
  operator: BinaryOperator,
  left: TemplateValue,
  right: TemplateValue,
): TemplateValue {
  if (left instanceof Undefined) left.fail();
  if (right instanceof Undefined) right.fail();
  const [a, b] = [numberOf(left), numberOf(right)];
  if (a !== undefined && b !== undefined) return calculate(operator, a, b);
  if (operator === "+") {
    if (typeof left === "string" && typeof right === "string") {
      checkSize(left.length + right.length);
      return left + right;
    }
    if (Array.isArray(left) && Array.isArray(right)) return [...sized(left, right)];
    if (left instanceof Tuple && right instanceof Tuple) {
      return new Tuple(sized(left.items, right.items));
    }
  }
  if (operator === "*") {
    const times = typeof left === "string" || Array.isArray(left) || left instanceof Tuple
      ? right
      : left;
    const repeated = times === right ? left : right;
    if (numberOf(times) !== undefined && typeof numberOf(times) === "bigint") {
      const count = Math.max(0, toIndex(times, "a factor"));
      if (typeof repeated === "string") {
        checkSize(repeated.length * count);
        return repeated.repeat(count);
      }
      if (Array.isArray(repeated)) return copies(repeated, count);
      if (repeated instanceof Tuple) return new Tuple(copies(repeated.items, count));
    }
  }
  if (operator === "%" && typeof left === "string") return formatted(left, right);
  throw new TemplateError(
    `unsupported operand type(s) for ${operator}: '${typeName(left)}' and '${typeName(right)}'`,
  );
}

function sized(left: readonly TemplateValue[], right: readonly TemplateValue[]): TemplateValue[] {
  checkSize(left.length + right.length);
  return [...left, ...right];
}

function copies(items: readonly TemplateValue[], count: number): TemplateValue[] {
  checkSize(items.length * count);
  return Array.from({ length: count }, () => items).flat();
}

function calculate(
  operator: BinaryOperator,
  a: bigint | number,
  b: bigint | number,
): TemplateValue {
  const zero = () => {
    throw new TemplateError("division by zero");
  };
  if (operator === "/") return Number(b) === 0 ? zero() : Number(a) / Number(b);
  if (typeof a === "bigint" && typeof b === "bigint") {
    switch (operator) {
      case "+":
        return whole(a + b);
      case "-":
        return whole(a - b);
      case "*":
        return whole(a * b);
      case "**":
        return b < 0n ? Number(a) ** Number(b) : power(a, b);
      case "//":
      case "%": {
        if (b === 0n) return zero();
        const rest = a % b;
        const turned = rest !== 0n && (rest < 0n) !== (b < 0n);
        if (operator === "%") return turned ? rest + b : rest;
        return a / b - (turned ? 1n : 0n);
      }
    }
  }
  const [x, y] = [Number(a), Number(b)];
  switch (operator) {
    case "+":
      return x + y;
    case "-":
      return x - y;
    case "*":
      return x * y;
    case "**":
      return x ** y;
    case "//":
      return y === 0 ? zero() : Math.floor(x / y);
    case "%": {
      if (y === 0) return zero();
      const rest = x % y;
      return rest !== 0 && (rest < 0) !== (y < 0) ? rest + y : rest;
    }
  }
}

function whole(value: bigint): bigint {
  if (value === 0n || value.toString(16).length * 4 <= TEMPLATE_LIMITS.bits) return value;
  throw new TemplateError(`a number has more than ${TEMPLATE_LIMITS.bits} bits`);
}

function power(base: bigint, exponent: bigint): bigint {
  const bits = BigInt(base.toString(2).length) * exponent;
  if (bits > BigInt(TEMPLATE_LIMITS.bits) && base * base > 1n) {
    throw new TemplateError(`a power has more than ${TEMPLATE_LIMITS.bits} bits`);
  }
  return base ** exponent;
}

/** Whether two values compare as an operator says. */
export function compares(
  operator: ComparisonOperator,
  left: TemplateValue,
  right: TemplateValue,
): boolean {
  switch (operator) {
    case "==":
      return equal(left, right);
    case "!=":
      return !equal(left, right);
    case "in":
      return contains(right, left);
    case "not in":
      return !contains(right, left);
    case "<":
      return order(left, right, operator) < 0;
    case "<=":
      return order(left, right, operator) <= 0;
    case ">":
      return order(left, right, operator) > 0;
    case ">=":
      return order(left, right, operator) >= 0;
  }
}

/** Whether two values are equal to Python: numbers of any kind by their value, lists by their own. */
export function equal(left: TemplateValue, right: TemplateValue): boolean {
  const [a, b] = [numberOf(left), numberOf(right)];
  // deno-lint-ignore eqeqeq -- a whole number equals the same number with a point
  if (a !== undefined && b !== undefined) return a == b;
  const all = (x: readonly TemplateValue[], y: readonly TemplateValue[]) =>
    x.length === y.length && x.every((each, at) => equal(each, y[at]!));
  if (Array.isArray(left) && Array.isArray(right)) return all(left, right);
  if (left instanceof Tuple && right instanceof Tuple) return all(left.items, right.items);
  if (left instanceof NumberRange && right instanceof NumberRange) {
    return all(left.items, right.items);
  }
  if (left instanceof Undefined) return right instanceof Undefined;
  if (left instanceof Map && right instanceof Map) {
    return left.size === right.size &&
      [...left].every(([key, value]) => right.has(key) && equal(value, right.get(key)!));
  }
  return left === right;
}

/** Below zero where the first value comes first; NaN where neither does. */
export function order(left: TemplateValue, right: TemplateValue, operator = "<"): number {
  if (left instanceof Undefined) left.fail();
  if (right instanceof Undefined) right.fail();
  const [a, b] = [numberOf(left), numberOf(right)];
  if (a !== undefined && b !== undefined) {
    return a < b ? -1 : a > b ? 1 : Number.isNaN(a) || Number.isNaN(b) ? NaN : 0;
  }
  if (typeof left === "string" && typeof right === "string") return textOrder(left, right);
  const lists = Array.isArray(left) && Array.isArray(right)
    ? [left, right] as const
    : left instanceof Tuple && right instanceof Tuple
    ? [left.items, right.items] as const
    : undefined;
  if (lists) {
    const [x, y] = lists;
    const at = x.findIndex((each, at) => at >= y.length || !equal(each, y[at]!));
    if (at < 0) return x.length - y.length;
    return at >= y.length ? 1 : order(x[at]!, y[at]!, operator);
  }
  throw new TemplateError(
    `'${operator}' not supported between instances of '${typeName(left)}' and '${typeName(right)}'`,
  );
}

/** Texts by their code points, not their code units. */
function textOrder(left: string, right: string): number {
  if (left === right) return 0;
  let at = 0;
  while (at < left.length && left[at] === right[at]) at++;
  // Units of pairs stand for larger code points than any other.
  const code = (text: string) => {
    const unit = text.charCodeAt(at);
    return unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit;
  };
  if (at >= left.length) return -1;
  return at >= right.length || code(left) > code(right) ? 1 : -1;
}

function contains(where: TemplateValue, value: TemplateValue): boolean {
  if (typeof where === "string") {
    if (typeof value === "string") return where.includes(value);
    throw new TemplateError(
      `'in <string>' requires string as left operand, not ${typeName(value)}`,
    );
  }
  if (where instanceof Map) return where.has(toKey(value));
  return iterate(where).some((each) => equal(each, value));
}
