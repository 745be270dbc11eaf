/**
 * Where in a shell script a position is: what is read here is the script's own text, never a value that is put into it.
 *
 * It follows the quoting of POSIX shells as far as is needed to say of a position whether a variable may stand there, and in
 * which form. Where shells differ, or the answer would take a whole parser, it says that it does not know.
 *
 * @module
 */

/** What a position is good for. */
export type ShellPlace =
  /** Outside of quotes. `startsWord`: nothing of a word is in front of it. */
  | { readonly kind: "plain"; readonly startsWord: boolean }
  /** Between double quotes. */
  | { readonly kind: "doubleQuotes" }
  /** In `$((…))`. */
  | { readonly kind: "arithmetic" }
  /** Where a value would not be one word, or could become code. `where` says what this is, `hint` what to do. */
  | { readonly kind: "refused"; readonly where: string; readonly hint: string };

/** Unquoted script, at the top or in `$(…)`. */
interface Code {
  readonly kind: "code";
  readonly isSubstitution: boolean;
  openParentheses: number;
  /** The letters of the word so far; `undefined` if it has anything but letters. */
  word: string | undefined;
  startsWord: boolean;
  hasCase: boolean;
  /** In `a[…]`, which bash evaluates as arithmetic. */
  isSubscript: boolean;
  /** Here-documents whose text begins after this line. */
  readonly documents: HereDocument[];
}

interface HereDocument {
  readonly kind: "document";
  readonly indented: boolean;
  delimiter: string;
  line: string;
}

/** The word behind `<<`, as it is read. */
interface Delimiter {
  readonly kind: "delimiter";
  text: string;
  indented: boolean;
  quote: string | undefined;
}

type Simple = "singleQuotes" | "dollarQuotes" | "doubleQuotes" | "backticks" | "braces" | "comment";

type Context =
  | Code
  | HereDocument
  | Delimiter
  | { readonly kind: Simple }
  | { readonly kind: "arithmetic"; openParentheses: number };

const VARIABLE_HINT = "put the value into a variable of the shell first";
const INPUT_HINT = "give the text as input, with .stdin(text)";

const REFUSALS = {
  singleQuotes: {
    where: "single quotes",
    hint: "leave the quotes out: a value is quoted already; or use double quotes",
  },
  dollarQuotes: { where: "$'…'", hint: "leave the quotes out: a value is quoted already" },
  backticks: { where: "backticks", hint: "use $(…)" },
  braces: { where: "a parameter expansion of the shell", hint: VARIABLE_HINT },
  subscript: { where: "brackets behind a name", hint: VARIABLE_HINT },
  dollar: { where: "what follows a dollar sign", hint: "write \\$ to have it as text" },
  backslash: { where: "what follows a backslash", hint: "write the backslash twice to have it as text" },
  comment: { where: "a comment", hint: "take it out" },
  document: { where: "a here-document", hint: INPUT_HINT },
  delimiter: { where: "the delimiter of a here-document", hint: INPUT_HINT },
} as const;

const BLANK = /[ \t]/;
const ENDS_WORD = /[ \t\n;|&()<>]/;

/** Follows a script from its beginning. */
export class ShellReader {
  readonly #contexts: Context[] = [newCode(false)];
  /** The character before, unless it was escaped. */
  #previous = "";
  #isEscaped = false;
  /** What made it lose its way. */
  #lost: string | undefined;

  /** Reads on. */
  read(text: string): void {
    for (const character of text) this.#step(character);
  }

  /** A value has been put here: to what follows it is a part of a word. */
  passValue(): void {
    const context = this.#context;
    this.#previous = "";
    if (context.kind === "code") addToWord(context);
  }

  /** What the position is good for. */
  get place(): ShellPlace {
    if (this.#lost !== undefined)
      return { kind: "refused", where: `what follows ${this.#lost}`, hint: VARIABLE_HINT };
    if (this.#isEscaped) return refused("backslash");
    const context = this.#context;
    const around = this.#contexts
      .slice(0, -1)
      .find(({ kind }) => kind === "backticks" || kind === "braces" || kind === "arithmetic");
    const kind = around?.kind ?? context.kind;
    if (kind === "arithmetic") return { kind };
    if (kind !== "code" && kind !== "doubleQuotes") return refused(kind);
    if (this.#previous === "$") return refused("dollar");
    if (context.kind !== "code") return { kind: "doubleQuotes" };
    return context.isSubscript ? refused("subscript") : { kind: "plain", startsWord: context.startsWord };
  }

  get #context(): Context {
    return this.#contexts.at(-1) ?? newCode(false);
  }

  #step(character: string): void {
    const context = this.#context;
    if (this.#isEscaped) {
      this.#isEscaped = false;
      this.#previous = "";
      if (context.kind === "dollarQuotes" && character === "'") this.#lost ??= "\\' in $'…'"; // shells differ
      if (context.kind === "code" && character !== "\n") addToWord(context); // with a line feed, it is nothing at all
      return;
    }
    switch (context.kind) {
      case "code":
        this.#stepCode(context, character);
        break;
      case "singleQuotes":
        if (character === "'") this.#contexts.pop();
        break;
      case "comment":
        if (character === "\n") this.#leaveComment();
        break;
      case "document":
        this.#stepDocument(context, character);
        break;
      case "delimiter":
        this.#stepDelimiter(context, character);
        break;
      case "arithmetic":
        if (character === "(") context.openParentheses++;
        else if (character === ")" && --context.openParentheses === 0) this.#contexts.pop();
        break;
      default:
        this.#stepQuoted(context.kind, character);
    }
    // The second dollar sign of `$$` begins nothing.
    this.#previous = this.#isEscaped || (character === "$" && this.#previous === "$") ? "" : character;
  }

  /** In what has a backslash that escapes. */
  #stepQuoted(kind: Exclude<Simple, "singleQuotes" | "comment">, character: string): void {
    if (character === "\\") this.#isEscaped = true;
    else if (kind === "dollarQuotes") {
      if (character === "'") this.#contexts.pop();
    } else if (kind === "backticks") {
      if (character === "`") this.#contexts.pop();
    } else if (kind === "doubleQuotes") {
      if (character === '"') this.#contexts.pop();
      else this.#expand(character);
    } else if (character === "}") this.#contexts.pop();
    else if (character === "'" && this.#isInDoubleQuotes)
      this.#lost ??= "a single quote in a parameter expansion"; // shells differ
    else if (character === "'") this.#contexts.push({ kind: "singleQuotes" });
    else if (character === '"') this.#contexts.push({ kind: "doubleQuotes" });
    else this.#expand(character);
  }

  get #isInDoubleQuotes(): boolean {
    return this.#contexts.some(({ kind }) => kind === "doubleQuotes");
  }

  /** The beginnings that code and double quotes have in common. Returns whether this is one. */
  #expand(character: string): boolean {
    if (character === "`") this.#contexts.push({ kind: "backticks" });
    else if (this.#previous !== "$") return false;
    else if (character === "{") this.#contexts.push({ kind: "braces" });
    else if (character === "(") this.#contexts.push(newCode(true));
    else return false;
    return true;
  }

  #stepCode(code: Code, character: string): void {
    if (character === "\\") {
      this.#isEscaped = true;
      return;
    }
    const { startsWord } = code;
    code.startsWord = ENDS_WORD.test(character);
    if (code.startsWord && code.word === "case") code.hasCase = true;
    code.word = nextWord(code, character);
    if (character === "[" && /[\w$]/.test(this.#previous)) code.isSubscript = true;
    else if (/[\];\n]/.test(character)) code.isSubscript = false;
    if (character === "'")
      this.#contexts.push({ kind: this.#previous === "$" ? "dollarQuotes" : "singleQuotes" });
    else if (character === '"') this.#contexts.push({ kind: "doubleQuotes" });
    else if (character === "#" && startsWord) this.#contexts.push({ kind: "comment" });
    else if (character === "\n") this.#beginDocument(code);
    else if (character === "<" && this.#previous === "<")
      this.#contexts.push({ kind: "delimiter", text: "", indented: false, quote: undefined });
    else if (this.#expand(character)) return;
    else if (character === "(") this.#open(code);
    else if (character === ")") this.#close(code);
  }

  /** `((` is arithmetic; a subshell in a subshell is written with a blank between. */
  #open(code: Code): void {
    if (this.#previous !== "(") {
      code.openParentheses++;
      return;
    }
    const isExpansion = code.isSubstitution && code.openParentheses === 0;
    if (isExpansion) this.#contexts.pop();
    else code.openParentheses--;
    this.#contexts.push({ kind: "arithmetic", openParentheses: 2 });
  }

  #close(code: Code): void {
    if (code.openParentheses > 0) code.openParentheses--;
    else if (code.isSubstitution) {
      this.#contexts.pop();
      // `a)` may be a pattern of `case`: it makes a difference if there are quotes around all of it.
      if (code.hasCase && this.#isInDoubleQuotes) this.#lost ??= 'a ) behind case in "$(…)"';
      if (code.documents.length > 0) this.#lost ??= "a here-document that $(…) cuts off";
    }
  }

  /** Behind `<<`, which begins a here-document, unless it is `<<<`. */
  #stepDelimiter(delimiter: Delimiter, character: string): void {
    if (delimiter.quote !== undefined) {
      if (character === delimiter.quote) delimiter.quote = undefined;
      else delimiter.text += character;
      return;
    }
    if (delimiter.text === "" && this.#previous === "<" && character === "<") {
      this.#contexts.pop(); // of `<<<`
      return;
    }
    if (delimiter.text === "" && this.#previous === "<" && character === "-") delimiter.indented = true;
    else if (delimiter.text === "" && BLANK.test(character)) return;
    else if (character === "'" || character === '"') delimiter.quote = character;
    else if (ENDS_WORD.test(character)) this.#finishDelimiter(delimiter, character);
    else if (character !== "\\") delimiter.text += character;
  }

  #finishDelimiter({ text, indented }: Delimiter, character: string): void {
    this.#contexts.pop();
    const code = this.#context;
    if (code.kind !== "code") return;
    code.documents.push({ kind: "document", indented, delimiter: text, line: "" });
    this.#stepCode(code, character);
  }

  #beginDocument(code: Code): void {
    const document = code.documents.shift();
    if (document !== undefined) this.#contexts.push(document);
  }

  #stepDocument(document: HereDocument, character: string): void {
    if (character !== "\n") {
      document.line += character;
      return;
    }
    const line = document.indented ? document.line.replace(/^\t+/, "") : document.line;
    document.line = "";
    if (line !== document.delimiter) return;
    this.#contexts.pop();
    const code = this.#context;
    if (code.kind === "code") this.#beginDocument(code);
  }

  #leaveComment(): void {
    this.#contexts.pop();
    const code = this.#context;
    if (code.kind === "code") this.#stepCode(code, "\n");
  }
}

function newCode(isSubstitution: boolean): Code {
  return {
    kind: "code",
    isSubstitution,
    openParentheses: 0,
    word: "",
    startsWord: true,
    hasCase: false,
    isSubscript: false,
    documents: [],
  };
}

/** What comes is a part of a word, and not of a word of the language. */
function addToWord(code: Code): void {
  code.startsWord = false;
  code.word = undefined;
}

function nextWord(code: Code, character: string): string | undefined {
  if (ENDS_WORD.test(character)) return "";
  return code.word !== undefined && /[a-z]/.test(character) ? code.word + character : undefined;
}

function refused(why: keyof typeof REFUSALS): ShellPlace {
  return { kind: "refused", ...REFUSALS[why] };
}
