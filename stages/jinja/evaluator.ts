import type { Arguments, AssignTarget, Body, Expression, Macro, Statement } from "./ast.ts";
import { type Budget, checkSize } from "./budget.ts";
import { FILTERS } from "./filters.ts";
import { LoopState } from "./loop_state.ts";
import { checkMember, memberOf, slice, subscript } from "./members.ts";
import { compares, operate } from "./operators.ts";
import { Scope } from "./scope.ts";
import { TemplateError } from "./template_error.ts";
import { TESTS } from "./tests.ts";
import { strOf } from "./python_text.ts";
import {
  Callable,
  isTrue,
  iterate,
  Namespace,
  numberOf,
  type TemplateCall,
  type TemplateValue,
  toKey,
  Tuple,
  typeName,
  Undefined,
} from "./values.ts";

/** How a body ended: at its end, or at a tag that leaves or goes on with the loop around it. */
type Ending = "end" | "break" | "continue";

/** Runs a template's statements by Jinja's rules and Python's values. */
export class Evaluator {
  /** Where it is `strict`, to write what is undefined is an error, as with `StrictUndefined`. */
  constructor(
    private readonly budget: Budget,
    private readonly options: { readonly strict?: boolean } = {},
  ) {}

  /** The text that a body writes. */
  text(body: Body, scope: Scope): string {
    const out: string[] = [];
    this.#run(body, scope, out);
    checkSize(out.reduce((sum, { length }) => sum + length, 0));
    return out.join("");
  }

  /** What an expression gives. */
  value(expression: Expression, scope: Scope): TemplateValue {
    return this.#value(expression, scope);
  }

  #run(body: Body, scope: Scope, out: string[]): Ending {
    for (const statement of body) {
      this.budget.step();
      const ending = this.#statement(statement, scope, out);
      if (ending !== "end") return ending;
    }
    return "end";
  }

  #statement(statement: Statement, scope: Scope, out: string[]): Ending {
    switch (statement.kind) {
      case "data":
        this.#write(statement.text, out);
        return "end";
      case "output":
        this.#write(strOf(this.#written(statement.value, scope)), out);
        return "end";
      case "if": {
        const branch = statement.branches.find(({ test }) => isTrue(this.#value(test, scope)));
        return this.#run(branch?.body ?? statement.otherwise, scope, out);
      }
      case "for":
        return this.#for(statement, scope, out, this.#value(statement.over, scope));
      case "set":
        this.#assign(statement.target, this.#value(statement.value, scope), scope);
        return "end";
      case "set block": {
        const text = this.text(statement.body, new Scope(scope));
        const value = statement.filter ? this.#filtered(statement.filter, text, scope) : text;
        this.#assign(statement.target, value, scope);
        return "end";
      }
      case "macro":
        scope.set(statement.name, this.#macro(statement, statement.name, scope));
        return "end";
      case "call block":
        this.#write(strOf(this.#callBlock(statement, scope)), out);
        return "end";
      case "filter block": {
        const text = this.text(statement.body, new Scope(scope));
        this.#write(strOf(this.#filtered(statement.filter, text, scope)), out);
        return "end";
      }
      case "with": {
        const inner = new Scope(scope);
        for (const [target, value] of statement.values) {
          this.#assign(target, this.#value(value, scope), inner);
        }
        return this.#run(statement.body, inner, out);
      }
      case "scope":
        return this.#run(statement.body, new Scope(scope), out);
      case "break":
      case "continue":
        return statement.kind;
    }
  }

  #written(expression: Expression, scope: Scope): TemplateValue {
    const value = this.#value(expression, scope);
    if (this.options.strict && value instanceof Undefined) value.fail();
    return value;
  }

  #write(text: string, out: string[]): void {
    this.budget.write(text);
    out.push(text);
  }

  #for(
    statement: Statement & { kind: "for" },
    scope: Scope,
    out: string[],
    over: TemplateValue,
    depth = 0,
  ): Ending {
    const { target, test, body, otherwise } = statement;
    const items: TemplateValue[] = [];
    for (const item of iterate(over)) {
      if (test) {
        const inner = new Scope(scope);
        this.#assign(target, item, inner);
        if (!isTrue(this.#value(test, inner))) continue;
      }
      items.push(item);
    }
    const again = statement.recursive
      ? (value: TemplateValue) =>
        this.budget.call(() => {
          const inner: string[] = [];
          this.#for(statement, scope, inner, value, depth + 1);
          return inner.join("");
        })
      : undefined;
    const loop = new LoopState(items, depth, again);
    for (const item of items) {
      loop.next();
      const inner = new Scope(scope);
      inner.set("loop", loop.value);
      this.#assign(target, item, inner);
      this.budget.step();
      if (this.#run(body, inner, out) === "break") break;
    }
    return items.length === 0 ? this.#run(otherwise, new Scope(scope), out) : "end";
  }

  #assign(target: AssignTarget, value: TemplateValue, scope: Scope): void {
    if (target.kind === "name") {
      scope.set(target.name, value);
    } else if (target.kind === "tuple") {
      const items = [...iterate(value)];
      if (items.length !== target.items.length) {
        throw new TemplateError(
          `${items.length} values are unpacked, expected ${target.items.length}`,
        );
      }
      for (const [at, each] of target.items.entries()) this.#assign(each, items[at]!, scope);
    } else {
      const object = scope.get(target.name);
      if (!(object instanceof Namespace)) {
        throw new TemplateError("cannot assign attribute on non-namespace object");
      }
      checkMember(target.attribute);
      object.members.set(target.attribute, value);
    }
  }

  #macro(macro: Macro, name: string, scope: Scope): Callable {
    return new Callable(`Macro '${name}'`, (call) =>
      this.budget.call(() => {
        const inner = new Scope(scope);
        this.#bind(macro, name, call, inner);
        return this.text(macro.body, inner);
      }));
  }

  #bind(
    { parameters, body }: Macro,
    name: string,
    { args, named }: TemplateCall,
    scope: Scope,
  ): void {
    const left = new Map(named);
    for (const [at, { name, otherwise }] of parameters.entries()) {
      const given = args[at] === undefined ? left.get(name) : args[at];
      if (args[at] !== undefined && left.has(name)) {
        throw new TemplateError(`macro got two values for the argument '${name}'`);
      }
      left.delete(name);
      scope.set(
        name,
        given ??
          (otherwise
            ? this.#value(otherwise, scope)
            : new Undefined(`parameter '${name}' was not provided`)),
      );
    }
    const caller = left.get("caller");
    left.delete("caller");
    if (caller !== undefined) scope.set("caller", caller);
    const text = JSON.stringify(body, (_, each) => typeof each === "bigint" ? String(each) : each);
    const uses = (name: string) => text.includes(`{"kind":"name","name":"${name}"}`);
    const more = args.slice(parameters.length);
    if (uses("varargs")) scope.set("varargs", new Tuple(more));
    else if (more.length > 0) {
      throw new TemplateError(
        `macro '${name}' takes not more than ${parameters.length} argument(s)`,
      );
    }
    if (uses("kwargs")) scope.set("kwargs", new Map<TemplateValue, TemplateValue>(left));
    else if (left.size > 0) {
      throw new TemplateError(`macro '${name}' takes no keyword argument '${[...left.keys()][0]}'`);
    }
  }

  #callBlock(statement: Statement & { kind: "call block" }, scope: Scope): TemplateValue {
    const { call } = statement;
    if (call.kind !== "call") throw new TemplateError("a call block calls nothing");
    const { args, named } = this.#arguments(call.args, scope);
    const caller = this.#macro(statement, "caller", scope);
    const more = new Map([...named, ["caller", caller as TemplateValue]]);
    return this.#call(this.#value(call.of, scope), { args, named: more });
  }

  #filtered(filter: Expression, text: string, scope: Scope): TemplateValue {
    if (filter.kind !== "filter") return text;
    const value = filter.of ? this.#filtered(filter.of, text, scope) : text;
    return this.#filter(filter.name, value, this.#arguments(filter.args, scope));
  }

  #filter(name: string, value: TemplateValue, call: TemplateCall): TemplateValue {
    this.budget.step();
    if (!Object.hasOwn(FILTERS, name)) throw new TemplateError(`No filter named '${name}'.`);
    return FILTERS[name]!(value, call, {
      filter: (name, value, call) => this.#filter(name, value, call),
      test: (name, value, call) => this.#test(name, value, call),
    });
  }

  #test(name: string, value: TemplateValue, { args, named }: TemplateCall): boolean {
    this.budget.step();
    if (!Object.hasOwn(TESTS, name)) throw new TemplateError(`No test named '${name}'.`);
    const test = TESTS[name]!;
    if (args.length + named.size !== test.args) {
      throw new TemplateError(`the test ${name} takes ${test.args} arguments`);
    }
    return test.run(value, args[0] ?? named.values().next().value ?? null);
  }

  #call(of: TemplateValue, call: TemplateCall): TemplateValue {
    if (of instanceof Undefined) of.fail();
    if (!(of instanceof Callable)) {
      throw new TemplateError(`'${typeName(of)}' object is not callable`);
    }
    return of.run(call);
  }

  #arguments({ positional, named, spread, spreadNamed }: Arguments, scope: Scope): TemplateCall {
    const args = positional.map((each) => this.#value(each, scope));
    if (spread) args.push(...iterate(this.#value(spread, scope)));
    const names = new Map(named.map(([name, each]) => [name, this.#value(each, scope)]));
    const more = spreadNamed && this.#value(spreadNamed, scope);
    if (more !== undefined && !(more instanceof Map)) {
      throw new TemplateError(`argument after ** must be a mapping, not ${typeName(more)}`);
    }
    for (const [name, value] of more ?? []) names.set(strOf(name), value);
    return { args, named: names };
  }

  #value(expression: Expression, scope: Scope): TemplateValue {
    this.budget.step();
    switch (expression.kind) {
      case "constant":
        return expression.value;
      case "name": {
        const value = scope.get(expression.name);
        return value === undefined ? new Undefined(`'${expression.name}' is undefined`) : value;
      }
      case "list":
        return expression.items.map((each) => this.#value(each, scope));
      case "tuple":
        return new Tuple(expression.items.map((each) => this.#value(each, scope)));
      case "dict":
        return new Map(
          expression.entries.map(([key, value]) =>
            [toKey(this.#value(key, scope)), this.#value(value, scope)] as const
          ),
        );
      case "attribute":
        return memberOf(this.#value(expression.of, scope), expression.name);
      case "item":
        return subscript(this.#value(expression.of, scope), this.#value(expression.key, scope));
      case "slice": {
        const of = this.#value(expression.of, scope);
        return slice(of, expression.bounds.map((each) => each && this.#value(each, scope)));
      }
      case "call": {
        const of = this.#value(expression.of, scope);
        return this.#call(of, this.#arguments(expression.args, scope));
      }
      case "filter": {
        const of = this.#value(expression.of!, scope);
        return this.#filter(expression.name, of, this.#arguments(expression.args, scope));
      }
      case "test": {
        const of = this.#value(expression.of, scope);
        return this.#test(expression.name, of, this.#arguments(expression.args, scope));
      }
      case "not":
        return !isTrue(this.#value(expression.of, scope));
      case "minus":
      case "plus": {
        const of = this.#value(expression.of, scope);
        const number = numberOf(of);
        if (of instanceof Undefined) of.fail();
        if (number === undefined) {
          throw new TemplateError(`bad operand type for a sign: '${typeName(of)}'`);
        }
        return expression.kind === "minus" ? -number : number;
      }
      case "and": {
        const left = this.#value(expression.left, scope);
        return isTrue(left) ? this.#value(expression.right, scope) : left;
      }
      case "or": {
        const left = this.#value(expression.left, scope);
        return isTrue(left) ? left : this.#value(expression.right, scope);
      }
      case "binary":
        return operate(
          expression.operator,
          this.#value(expression.left, scope),
          this.#value(expression.right, scope),
        );
      case "concatenation": {
        const parts = expression.parts.map((each) => strOf(this.#value(each, scope)));
        checkSize(parts.reduce((sum, { length }) => sum + length, 0));
        return parts.join("");
      }
      case "comparison": {
        let left = this.#value(expression.first, scope);
        for (const [operator, each] of expression.rest) {
          const right = this.#value(each, scope);
          if (!compares(operator, left, right)) return false;
          left = right;
        }
        return true;
      }
      case "condition": {
        const { test, then, otherwise } = expression;
        if (isTrue(this.#value(test, scope))) return this.#value(then, scope);
        return otherwise
          ? this.#value(otherwise, scope)
          : new Undefined("the inline if-expression evaluated to false and has no else");
      }
    }
  }
}
