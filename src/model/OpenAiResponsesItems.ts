/**
 * The output items of one answer of the Responses API, and how much of each was written.
 *
 * Events name their item by `output_index` and by `item_id`. OpenAI sends both; some servers leave the index out, others
 * give an item a new id with every event, or all items one index.
 *
 * @since 0.1.0
 */
import { count, type JsonRecord, text } from "./Json.ts"

/**
 * The kinds of text that an item has; each is counted by itself.
 *
 * @category models
 * @since 0.1.0
 */
export type Form = "text" | "refusal" | "summary" | "content"

/**
 * One text of an item.
 *
 * @category models
 * @since 0.1.0
 */
export interface Block {
  readonly item: Item
  readonly form: Form
  readonly index: number
  /** How much of the text was written, in characters. */
  written: number
  /** How many of its annotations were read. */
  annotations: number
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Item {
  readonly index: number
  /** The first id that came. */
  id: string | undefined
  type: string | undefined
  phase: string | undefined
  readonly blocks: Map<string, Block>
  /** Some of its text was written. */
  started: boolean
  /** Of a function call: its name and id have come. */
  announced: boolean
  /** Of a function call: arguments that came before its name. */
  early: string
  /** Of a function call: how much of its arguments has come, in characters. */
  arguments: number
  /** What an item says once, at its end, is written. */
  closed: boolean
  /** Of reasoning: its encrypted content is written. */
  encrypted: boolean
  /** The list of the whole answer has it. */
  ended: boolean
}

/**
 * @category guards
 * @since 0.1.0
 */
export const isReasoning = (form: Form): boolean => form === "summary" || form === "content"

/**
 * @category accessors
 * @since 0.1.0
 */
export const blockOf = (item: Item, form: Form, index: number): Block => {
  const key = `${form}${index}`
  let block = item.blocks.get(key)
  if (block === undefined) item.blocks.set(key, block = { item, form, index, written: 0, annotations: 0 })
  return block
}

/**
 * The state of one run; never share it between two streams.
 *
 * @category models
 * @since 0.1.0
 */
export class Items {
  private readonly byIndex = new Map<number, Item>()
  private readonly byId = new Map<string, Item>()
  private last: Item | undefined
  private next = 0

  all(): Iterable<Item> {
    return this.byIndex.values()
  }

  /** The item that an event is about; `item` is the one inside the event, if there is one. */
  of(event: JsonRecord, item?: JsonRecord): Item {
    const index = count(event["output_index"])
    const id = text(event["item_id"]) ?? text(item?.["id"])
    const known = index === undefined ? undefined : this.byIndex.get(index)
    if (known !== undefined && known.id === id) return known
    const named = id === undefined ? undefined : this.byId.get(id)
    if (named !== undefined || known !== undefined) return named ?? known ?? this.add(index, id)
    return index === undefined && id === undefined && this.last !== undefined ? this.last : this.add(index, id)
  }

  /** The item that starts here: a new one where its index or, under a taken index, its id is new. */
  started(event: JsonRecord, item: JsonRecord): Item {
    const index = count(event["output_index"])
    const id = text(item["id"])
    if (index !== undefined && !this.byIndex.has(index)) return this.add(index, id)
    const known = this.of(event, item)
    return known.type === undefined || known.id === id ? known : this.add(undefined, id)
  }

  /** The item of a whole answer's list: some servers leave items out there, others give them another id. */
  atEnd(index: number, wire: JsonRecord): Item {
    const id = text(wire["id"])
    const named = id === undefined ? undefined : this.byId.get(id)
    const streamed = this.byIndex.get(index)
    const isSame = streamed !== undefined && (streamed.type ?? wire["type"]) === wire["type"]
    const item = [named, isSame ? streamed : undefined].find((item) => item?.ended === false) ??
      this.add(streamed === undefined ? index : undefined, id)
    item.ended = true
    return item
  }

  /** Takes over what the wire says of an item. */
  describe(item: Item, wire: JsonRecord): void {
    item.type = text(wire["type"]) ?? item.type
    item.phase = text(wire["phase"]) ?? item.phase
    const id = text(wire["id"])
    if (id === undefined) return
    item.id ??= id
    if (!this.byId.has(id)) this.byId.set(id, item)
  }

  /** The item's id, unless an earlier item has the same. */
  ownId(item: Item): string | undefined {
    return item.id !== undefined && this.byId.get(item.id) === item ? item.id : undefined
  }

  private add(index: number | undefined, id: string | undefined): Item {
    const item: Item = {
      index: index ?? this.next,
      id,
      type: undefined,
      phase: undefined,
      blocks: new Map(),
      started: false,
      announced: false,
      early: "",
      arguments: 0,
      closed: false,
      encrypted: false,
      ended: false
    }
    this.next = Math.max(this.next, item.index + 1)
    this.byIndex.set(item.index, item)
    if (id !== undefined && !this.byId.has(id)) this.byId.set(id, item)
    this.last = item
    return item
  }
}
