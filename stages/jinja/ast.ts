/** What gives a value. */
export type Expression =
  | { readonly kind: "constant"; readonly value: string | bigint | number | boolean | null }
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "list" | "tuple"; readonly items: readonly Expression[] }
  | { readonly kind: "dict"; readonly entries: readonly (readonly [Expression, Expression])[] }
  | {
    readonly kind: "attribute";
    readonly of: Expression;
    readonly name: string;
  }
  | { readonly kind: "item"; readonly of: Expression; readonly key: Expression }
  | {
    readonly kind: "slice";
    readonly of: Expression;
    readonly bounds: readonly (Expression | undefined)[];
  }
  | { readonly kind: "call"; readonly of: Expression; readonly args: Arguments }
  | {
    readonly kind: "filter";
    /** The rendered text, for filters around blocks. */
    readonly of: Expression | undefined;
    readonly name: string;
    readonly args: Arguments;
  }
  | {
    readonly kind: "test";
    readonly of: Expression;
    readonly name: string;
    readonly args: Arguments;
  }
  | { readonly kind: "not" | "minus" | "plus"; readonly of: Expression }
  | { readonly kind: "and" | "or"; readonly left: Expression; readonly right: Expression }
  | {
    readonly kind: "binary";
    readonly operator: BinaryOperator;
    readonly left: Expression;
    readonly right: Expression;
  }
  | { readonly kind: "concatenation"; readonly parts: readonly Expression[] }
  | {
    readonly kind: "comparison";
    readonly first: Expression;
    readonly rest: readonly (readonly [ComparisonOperator, Expression])[];
  }
  | {
    readonly kind: "condition";
    readonly test: Expression;
    readonly then: Expression;
    readonly otherwise: Expression | undefined;
  };

/** An operator of arithmetic. */
export type BinaryOperator = "+" | "-" | "*" | "/" | "//" | "%" | "**";
/** An operator that compares. */
export type ComparisonOperator = "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not in";

/** What a call hands over. */
export interface Arguments {
  readonly positional: readonly Expression[];
  readonly named: readonly (readonly [string, Expression])[];
  readonly spread?: Expression;
  readonly spreadNamed?: Expression;
}

/** What is assigned to. */
export type AssignTarget =
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "attribute"; readonly name: string; readonly attribute: string }
  | { readonly kind: "tuple"; readonly items: readonly AssignTarget[] };

/** A parameter of a macro. */
export interface Parameter {
  readonly name: string;
  readonly otherwise?: Expression;
}

/** What is done. */
export type Statement =
  | { readonly kind: "data"; readonly text: string }
  | { readonly kind: "output"; readonly value: Expression }
  | {
    readonly kind: "if";
    readonly branches: readonly { readonly test: Expression; readonly body: Body }[];
    readonly otherwise: Body;
  }
  | {
    readonly kind: "for";
    readonly target: AssignTarget;
    readonly over: Expression;
    readonly test: Expression | undefined;
    readonly recursive: boolean;
    readonly body: Body;
    readonly otherwise: Body;
  }
  | { readonly kind: "set"; readonly target: AssignTarget; readonly value: Expression }
  | {
    readonly kind: "set block";
    readonly target: AssignTarget;
    readonly filter: Expression | undefined;
    readonly body: Body;
  }
  | Macro & { readonly kind: "macro"; readonly name: string }
  | Macro & { readonly kind: "call block"; readonly call: Expression }
  | { readonly kind: "filter block"; readonly filter: Expression; readonly body: Body }
  | {
    readonly kind: "with";
    readonly values: readonly (readonly [AssignTarget, Expression])[];
    readonly body: Body;
  }
  | { readonly kind: "scope"; readonly body: Body }
  | { readonly kind: "break" | "continue" };

/** Statements in a row. */
export type Body = readonly Statement[];

/** What can be called with parameters. */
export interface Macro {
  readonly parameters: readonly Parameter[];
  readonly body: Body;
}
