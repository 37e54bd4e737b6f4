import type { Arguments, BinaryOperator, ComparisonOperator, Expression } from "./ast.ts";
import type { TokenStream } from "./token_stream.ts";

const CONSTANTS: Readonly<Record<string, boolean | null>> = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
};
/** Deepest nesting of expressions. */
const DEEPEST = 100;

/** Reads expressions by the grammar of Jinja 3's parser, in which `**` groups from the left. */
export class ExpressionParser {
  #depth = 0;

  constructor(private readonly stream: TokenStream) {}

  /** An expression, with its `if` and `else` unless `conditional` is false. */
  expression(conditional = true): Expression {
    if (++this.#depth > DEEPEST) this.stream.fail(`nested more than ${DEEPEST} deep`);
    const found = conditional ? this.#condition() : this.#or();
    this.#depth--;
    return found;
  }

  /** Expressions with commas between them make a tuple; `ends` says what may follow them. */
  tuple(
    { conditional = true, ends = [], parenthesized = false }: {
      readonly conditional?: boolean;
      readonly ends?: readonly string[];
      readonly parenthesized?: boolean;
    } = {},
  ): Expression {
    const items: Expression[] = [];
    let comma = false;
    for (;;) {
      if (items.length > 0) this.stream.expect("operator", ",");
      if (this.#ends(ends)) break;
      items.push(this.expression(conditional));
      if (!this.stream.is("operator", ",")) break;
      comma = true;
    }
    if (!comma && items.length === 1) return items[0]!;
    if (items.length === 0 && !parenthesized) this.stream.fail("expected an expression");
    return { kind: "tuple", items };
  }

  #ends(names: readonly string[]): boolean {
    const { stream } = this;
    return stream.is("variable_end") || stream.is("block_end") || stream.is("operator", ")") ||
      (names.length > 0 && stream.is("name", ...names));
  }

  #condition(): Expression {
    let then = this.#or();
    while (this.stream.skip("name", "if")) {
      const test = this.#or();
      const otherwise = this.stream.skip("name", "else") ? this.expression() : undefined;
      then = { kind: "condition", test, then, otherwise };
    }
    return then;
  }

  #or(): Expression {
    let left = this.#and();
    while (this.stream.skip("name", "or")) left = { kind: "or", left, right: this.#and() };
    return left;
  }

  #and(): Expression {
    let left = this.#not();
    while (this.stream.skip("name", "and")) left = { kind: "and", left, right: this.#not() };
    return left;
  }

  #not(): Expression {
    if (!this.stream.skip("name", "not")) return this.#comparison();
    return { kind: "not", of: this.#not() };
  }

  #comparison(): Expression {
    const first = this.#sum();
    const rest: [ComparisonOperator, Expression][] = [];
    for (;;) {
      const operator = this.#comparisonOperator();
      if (!operator) break;
      rest.push([operator, this.#sum()]);
    }
    return rest.length === 0 ? first : { kind: "comparison", first, rest };
  }

  #comparisonOperator(): ComparisonOperator | undefined {
    const { stream } = this;
    const sign = stream.skip("operator", "==", "!=", "<", "<=", ">", ">=");
    if (sign) return sign.text as ComparisonOperator;
    if (stream.skip("name", "in")) return "in";
    if (!stream.is("name", "not") || stream.following.text !== "in") return undefined;
    stream.next();
    stream.next();
    return "not in";
  }

  #sum(): Expression {
    return this.#fromLeft(["+", "-"], () => this.#concatenation());
  }

  #concatenation(): Expression {
    const parts = [this.#product()];
    while (this.stream.skip("operator", "~")) parts.push(this.#product());
    return parts.length === 1 ? parts[0]! : { kind: "concatenation", parts };
  }

  #product(): Expression {
    return this.#fromLeft(["*", "/", "//", "%"], () => this.#power());
  }

  #power(): Expression {
    return this.#fromLeft(["**"], () => this.#unary(true));
  }

  #fromLeft(operators: readonly BinaryOperator[], operand: () => Expression): Expression {
    let left = operand();
    for (;;) {
      const operator = this.stream.skip("operator", ...operators)?.text as BinaryOperator;
      if (!operator) return left;
      left = { kind: "binary", operator, left, right: operand() };
    }
  }

  #unary(filtered: boolean): Expression {
    const sign = this.stream.skip("operator", "-", "+");
    let found: Expression;
    if (sign) {
      if (++this.#depth > DEEPEST) this.stream.fail(`nested more than ${DEEPEST} deep`);
      found = { kind: sign.text === "-" ? "minus" : "plus", of: this.#unary(false) };
      this.#depth--;
    } else {
      found = this.#postfix(this.#primary());
    }
    return filtered ? this.#filtered(found) : found;
  }

  #primary(): Expression {
    const { stream } = this;
    const token = stream.next();
    if (token.kind === "name") {
      return Object.hasOwn(CONSTANTS, token.text)
        ? { kind: "constant", value: CONSTANTS[token.text]! }
        : { kind: "name", name: token.text };
    }
    if (token.kind === "string") {
      let value = token.text;
      while (stream.is("string")) value += stream.next().text;
      return { kind: "constant", value };
    }
    if (token.kind === "integer") return { kind: "constant", value: BigInt(token.text) };
    if (token.kind === "float") return { kind: "constant", value: Number(token.text) };
    if (token.kind === "operator" && token.text === "(") {
      const found = this.tuple({ parenthesized: true });
      stream.expect("operator", ")");
      return found;
    }
    if (token.kind === "operator" && token.text === "[") {
      return { kind: "list", items: this.#separated("]", () => this.expression()) };
    }
    if (token.kind === "operator" && token.text === "{") {
      const entry = () => {
        const key = this.expression();
        stream.expect("operator", ":");
        return [key, this.expression()] as const;
      };
      return { kind: "dict", entries: this.#separated("}", entry) };
    }
    return stream.fail(`expected an expression instead of ${JSON.stringify(token.text)} before it`);
  }

  #separated<T>(end: string, item: () => T): T[] {
    const items: T[] = [];
    while (!this.stream.is("operator", end)) {
      if (items.length > 0) this.stream.expect("operator", ",");
      if (this.stream.is("operator", end)) break;
      items.push(item());
    }
    this.stream.expect("operator", end);
    return items;
  }

  #postfix(start: Expression): Expression {
    let found = start;
    for (;;) {
      if (this.stream.is("operator", ".", "[")) found = this.#subscript(found);
      else if (this.stream.is("operator", "(")) {
        found = { kind: "call", of: found, args: this.arguments() };
      } else return found;
    }
  }

  #filtered(start: Expression): Expression {
    let found = start;
    for (;;) {
      if (this.stream.is("operator", "|")) found = this.filter(found);
      else if (this.stream.is("name", "is")) found = this.#test(found);
      else if (this.stream.is("operator", "(")) {
        found = { kind: "call", of: found, args: this.arguments() };
      } else return found;
    }
  }

  #subscript(of: Expression): Expression {
    const { stream } = this;
    if (stream.next().text === ".") {
      const integer = stream.skip("integer");
      if (integer) {
        return { kind: "item", of, key: { kind: "constant", value: BigInt(integer.text) } };
      }
      return { kind: "attribute", of, name: stream.expect("name").text };
    }
    const bounds: (Expression | undefined)[] = [undefined];
    let sliced = false;
    while (!stream.is("operator", "]")) {
      if (stream.skip("operator", ":")) {
        sliced = true;
        bounds.push(undefined);
      } else if (bounds.at(-1) === undefined) {
        bounds[bounds.length - 1] = this.expression();
      } else {
        stream.fail("expected ] or :");
      }
    }
    stream.expect("operator", "]");
    if (sliced && bounds.length <= 3) return { kind: "slice", of, bounds };
    const [key] = bounds;
    return key && !sliced
      ? { kind: "item", of, key }
      : stream.fail("expected what to take before it");
  }

  /** Reads `| name(arguments)` behind a value, or behind nothing for a filter of a block. */
  filter(of: Expression | undefined): Expression {
    let found = of;
    for (let begins = of === undefined; begins || this.stream.is("operator", "|"); begins = false) {
      if (!begins) this.stream.next();
      const name = this.#dotted();
      found = { kind: "filter", of: found, name, args: this.#given() };
    }
    return found!;
  }

  #test(of: Expression): Expression {
    const { stream } = this;
    stream.expect("name", "is");
    const negated = stream.skip("name", "not") !== undefined;
    const name = this.#dotted();
    const bare =
      ["name", "string", "integer", "float"].some((kind) => stream.current.kind === kind) ||
      stream.is("operator", "[", "{");
    let args = this.#given();
    if (bare && !stream.is("name", "else", "or", "and")) {
      if (stream.is("name", "is")) stream.fail("expected no test of a test");
      args = { positional: [this.#postfix(this.#primary())], named: [] };
    }
    const test: Expression = { kind: "test", of, name, args };
    return negated ? { kind: "not", of: test } : test;
  }

  #dotted(): string {
    let name = this.stream.expect("name").text;
    while (this.stream.skip("operator", ".")) name += `.${this.stream.expect("name").text}`;
    return name;
  }

  #given(): Arguments {
    return this.stream.is("operator", "(") ? this.arguments() : { positional: [], named: [] };
  }

  /** What stands between the parentheses of a call. */
  arguments(): Arguments {
    const { stream } = this;
    stream.expect("operator", "(");
    const positional: Expression[] = [];
    const named: (readonly [string, Expression])[] = [];
    let [spread, spreadNamed]: (Expression | undefined)[] = [];
    const taken = () => positional.length + named.length + (spread ? 1 : 0) + (spreadNamed ? 1 : 0);
    while (!stream.is("operator", ")")) {
      if (taken() > 0) stream.expect("operator", ",");
      if (stream.is("operator", ")")) break;
      if (stream.is("operator", "*", "**")) {
        const both = stream.next().text === "**";
        if (spreadNamed || (!both && spread)) stream.fail("expected it to be spread once");
        if (both) spreadNamed = this.expression();
        else spread = this.expression();
      } else if (stream.is("name") && stream.following.text === "=") {
        if (spreadNamed) stream.fail("expected nothing behind **");
        const name = stream.next().text;
        stream.next();
        named.push([name, this.expression()]);
      } else {
        if (named.length > 0 || spread || spreadNamed) {
          stream.fail("expected no more arguments without a name");
        }
        positional.push(this.expression());
      }
    }
    stream.expect("operator", ")");
    return {
      positional,
      named,
      ...spread && { spread },
      ...spreadNamed && { spreadNamed },
    };
  }
}
