import { TOKEN_BYTES_MAX, TOKENS_MAX } from './field-index-format.ts'
import { GrowingWords } from './growing-array.ts'
import { forEachToken } from './tokenizer.ts'

/** Whether a text is in the list of distinct texts of its key. */
export type Listed = 'listed' | 'unlisted'

/** Distinct tokens, and which texts each stands in. */
export interface TokenTexts {
  readonly tokens: readonly string[]
  /** Ascending numbers of texts: those that are listed, then those that are not. */
  texts(token: string): Uint32Array
}

/** Collects the tokens of the texts of one key, 8 bytes for each token that a text has. */
export class TokenLog {
  readonly #numbers = new Map<string, number>()
  /** The text in which a token was last seen. */
  readonly #last: number[] = []
  readonly #pairs = { listed: new PairList(), unlisted: new PairList() }
  #bytes = 0
  #full = false

  /** Adds a text; those of one kind come in the order of their numbers. */
  add(text: string, number: number, kind: Listed): void {
    if (this.#full) return
    const pairs = this.#pairs[kind]
    // Texts of both kinds are numbered from 0.
    const mark = number * 2 + (kind === 'listed' ? 0 : 1)
    forEachToken(text, (token) => {
      const id = this.#numberOf(token, kind)
      if (this.#last[id] === mark) return
      this.#last[id] = mark
      pairs.add(id, number)
    })
    const all = this.#pairs.listed.length + this.#pairs.unlisted.length
    if (all > TOKENS_MAX || this.#bytes > TOKEN_BYTES_MAX) this.#giveUp()
  }

  #numberOf(token: string, kind: Listed): number {
    const known = this.#numbers.get(token)
    if (known !== undefined) return known
    // A copy: a slice would keep all of a long text in memory.
    const kept = kind === 'listed' ? token : Buffer.from(token, 'utf8').toString('utf8')
    this.#numbers.set(kept, this.#numbers.size)
    this.#bytes += Buffer.byteLength(token)
    this.#last.push(-1)
    return this.#last.length - 1
  }

  #giveUp(): void {
    this.#full = true
    this.#numbers.clear()
    this.#last.length = 0
    this.#pairs.listed = new PairList()
    this.#pairs.unlisted = new PairList()
  }

  /**
   * All of it, tokens in the order of their first use; undefined where there were too many.
   *
   * @param listed how many texts are listed: the others are numbered from there on
   */
  finish(listed: number): TokenTexts | undefined {
    if (this.#full) return undefined
    const starts = new Uint32Array(this.#numbers.size + 1)
    const lists = [this.#pairs.listed.finish(), this.#pairs.unlisted.finish()]
    for (const { tokens } of lists) {
      for (let i = 0; i < tokens.length; i++) {
        const id = tokens[i] as number
        starts[id + 1] = (starts[id + 1] as number) + 1
      }
    }
    for (let i = 1; i < starts.length; i++) {
      starts[i] = (starts[i] as number) + (starts[i - 1] as number)
    }
    const next = starts.slice()
    const texts = new Uint32Array(starts[starts.length - 1] as number)
    for (const [kind, list] of lists.entries()) {
      for (let i = 0; i < list.tokens.length; i++) {
        const id = list.tokens[i] as number
        const at = next[id] as number
        next[id] = at + 1
        texts[at] = (list.texts[i] as number) + kind * listed
      }
    }
    return {
      tokens: [...this.#numbers.keys()],
      texts: (token) => {
        const id = this.#numbers.get(token) as number
        return texts.subarray(starts[id], starts[id + 1])
      },
    }
  }
}

class PairList {
  readonly #tokens = new GrowingWords()
  readonly #texts = new GrowingWords()

  get length(): number {
    return this.#tokens.length
  }

  add(token: number, text: number): void {
    this.#tokens.push(token)
    this.#texts.push(text)
  }

  finish(): { readonly tokens: Uint32Array; readonly texts: Uint32Array } {
    return { tokens: this.#tokens.view(), texts: this.#texts.view() }
  }
}
