/**
 * Where budgets are kept: in memory, in Effect's `KeyValueStore`, that of a Durable Object too, or in Redis.
 *
 * A budget's account is two whole numbers for the window that runs now: what was spent, and what calls in flight have
 * reserved. A call reserves first, if that fits, and settles when it has ended. Who never settles - a process that dies -
 * has spent what it reserved, as far as anybody can know, and so it counts until the window ends.
 *
 * **Example** (Budgets that hold for all machines on one Redis)
 *
 * ```ts
 * import * as NodeRedis from "@effect/platform-node/NodeRedis"
 * import * as Layer from "effect/Layer"
 * import * as BudgetStore from "effect-ai-gateway/BudgetStore"
 *
 * export const store = BudgetStore.layerRedis().pipe(
 *   Layer.provide(NodeRedis.layer({ url: "redis://localhost:6379", disableOfflineQueue: true }))
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import * as KeyValueStore from "effect/unstable/persistence/KeyValueStore"
import * as Redis from "effect/unstable/persistence/Redis"

/**
 * A budget of one key in one window.
 *
 * @category models
 * @since 0.1.0
 */
export interface Account {
  /** Of the budget, its window's length and the key: the same in every window. */
  readonly name: string
  /** When the window ends, in milliseconds. */
  readonly resetsAt: number
}

/**
 * Whole nano-dollars.
 *
 * @category models
 * @since 0.1.0
 */
export interface Balance {
  readonly spent: number
  readonly reserved: number
}

/**
 * The balance with the reservation, or without it where it did not fit.
 *
 * @category models
 * @since 0.1.0
 */
export interface Reserved extends Balance {
  readonly granted: boolean
}

/**
 * The store did not do what it was asked to.
 *
 * @category errors
 * @since 0.1.0
 */
export class BudgetStoreError
  extends Schema.TaggedError<BudgetStoreError>("effect-ai-gateway/BudgetStoreError")("BudgetStoreError", {
    operation: Schema.Literals(["reserve", "settle", "balance"]),
    account: Schema.String,
    cause: Schema.Defect()
  })
{
  override get message() {
    return `The budget store could not ${this.operation} for ${this.account}`
  }
}

/**
 * All three look only at the account's own window: what belongs to one that has ended changes nothing.
 *
 * @category services
 * @since 0.1.0
 */
export class BudgetStore extends Context.Service<BudgetStore, {
  /** Adds to what is reserved if all that is spent and reserved then stays within the limit; nothing comes in between. */
  readonly reserve: (
    account: Account,
    options: { readonly amount: number; readonly limit: number }
  ) => Effect.Effect<Reserved, BudgetStoreError>
  /** Takes a reservation back, and adds what was spent. */
  readonly settle: (
    account: Account,
    options: { readonly reserved: number; readonly spent: number }
  ) => Effect.Effect<void, BudgetStoreError>
  readonly balance: (account: Account) => Effect.Effect<Balance, BudgetStoreError>
}>()("effect-ai-gateway/BudgetStore") {}

/**
 * In this process, for as long as the layer lives.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory: Layer.Layer<BudgetStore> = Layer.sync(BudgetStore, () => {
  const accounts = new Map<string, Kept>()
  let nextSweep = 0
  const at = <A>(account: Account, f: Change<A>): Effect.Effect<A> =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      // Accounts that nobody asks for again, such as those of users who left, go once a minute.
      if (now >= nextSweep) {
        nextSweep = now + 60_000
        for (const [name, { resetsAt }] of accounts) if (resetsAt <= now) accounts.delete(name)
      }
      const { next, result } = apply(accounts.get(account.name), account, f)
      if (next === "remove") accounts.delete(account.name)
      else if (next !== "keep") accounts.set(account.name, next)
      return result
    })
  return BudgetStore.of({
    reserve: (account, options) => at(account, (kept) => reserveIn(kept, options)),
    settle: (account, options) => at(account, (kept) => settleIn(kept, options)),
    balance: (account) => at(account, (kept) => [balanceOf(kept), kept])
  })
})

/**
 * In Effect's `KeyValueStore`, one entry for each account: exact as long as one process or one Durable Object is the only one
 * that writes.
 *
 * Workers KV is not that: it is eventually consistent and takes one write of a key per second, so budgets in it may be
 * overspent by whoever writes at the same time.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerKeyValueStore = (
  options: { readonly prefix?: string | undefined } = {}
): Layer.Layer<BudgetStore, never, KeyValueStore.KeyValueStore> =>
  Layer.effect(
    BudgetStore,
    Effect.map(KeyValueStore.KeyValueStore, (store) => inEntries(store, options.prefix))
  )

/**
 * In Redis through Effect's own service: exact for all who use it, since each step is one script.
 *
 * Redis forgets an account a minute after its window has ended. The clocks of the machines decide which window it is. A Redis
 * that evicts keys for lack of memory forgets budgets too.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerRedis = (
  options: { readonly prefix?: string | undefined } = {}
): Layer.Layer<BudgetStore, never, Redis.Redis> =>
  Layer.effect(
    BudgetStore,
    Effect.map(Redis.Redis, (redis) => {
      const keyOf = ({ name, resetsAt }: Account) => `${options.prefix ?? defaultPrefix}${name}:${resetsAt}`
      const run = redis.eval(makeScript())
      const ask = (operation: Operation, account: Account, amounts: readonly [number, number]) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) =>
          // A settlement that comes too late changes nothing.
          run(keyOf(account), operation, account.resetsAt - now + 60_000, ...amounts)).pipe(
            Effect.map(([granted, spent, reserved]) => ({
              granted: Number(granted) === 1,
              spent: Number(spent),
              reserved: Number(reserved)
            })),
            Effect.mapError(({ cause }) => new BudgetStoreError({ operation, account: account.name, cause }))
          )
      return BudgetStore.of({
        reserve: (account, { amount, limit }) => ask("reserve", account, [amount, limit]),
        settle: (account, { reserved, spent }) => Effect.asVoid(ask("settle", account, [reserved, spent])),
        balance: (account) => Effect.map(ask("balance", account, [0, 0]), balanceOf)
      })
    })
  )

type Operation = BudgetStoreError["operation"]

interface Kept extends Balance {
  readonly resetsAt: number
}

const defaultPrefix = "ai-gateway:budget:"

type Change<A> = (kept: Kept) => readonly [result: A, next: Kept]

/** The change of what is there of the account's window, and what is to be done with the entry. */
const apply = <A>(
  kept: Kept | undefined,
  { resetsAt }: Account,
  f: Change<A>
): { readonly result: A; readonly next: Kept | "keep" | "remove" } => {
  const before = kept?.resetsAt === resetsAt ? kept : { resetsAt, spent: 0, reserved: 0 }
  const [result, after] = f(before)
  // A call that took longer than its window settles in one that nobody looks at any more.
  if (after === before || kept !== undefined && kept.resetsAt > resetsAt) return { result, next: "keep" }
  return { result, next: isEmpty(after) ? "remove" : after }
}

const isEmpty = ({ reserved, spent }: Balance) => reserved === 0 && spent === 0

const balanceOf = ({ reserved, spent }: Balance): Balance => ({ spent, reserved })

const reserveIn = (
  kept: Kept,
  { amount, limit }: { readonly amount: number; readonly limit: number }
): readonly [Reserved, Kept] => {
  const granted = kept.spent + kept.reserved + amount <= limit
  const next = granted ? { ...kept, reserved: kept.reserved + amount } : kept
  return [{ granted, ...balanceOf(next) }, next]
}

const settleIn = (
  kept: Kept,
  { reserved, spent }: { readonly reserved: number; readonly spent: number }
): readonly [void, Kept] => [
  undefined,
  { ...kept, reserved: Math.max(0, kept.reserved - reserved), spent: kept.spent + spent }
]

const Entry = Schema.fromJsonString(Schema.Struct({
  resetsAt: Schema.Finite,
  spent: Schema.Finite,
  reserved: Schema.Finite
}))

/** Reads, changes and writes an entry, with nobody else of this process in between. */
const inEntries = (entries: KeyValueStore.KeyValueStore, prefix: string = defaultPrefix): BudgetStore["Service"] => {
  const locks = makeLocks()
  const at = <A>(operation: Operation, account: Account, f: Change<A>): Effect.Effect<A, BudgetStoreError> => {
    const key = `${prefix}${account.name}`
    const change = Effect.gen(function*() {
      const text = yield* entries.get(key)
      const kept = text === undefined ? undefined : yield* Schema.decodeUnknownEffect(Entry)(text)
      const { next, result } = apply(kept, account, f)
      if (next === "remove") yield* entries.remove(key)
      else if (next !== "keep") yield* entries.set(key, JSON.stringify(next))
      return result
    })
    return locks(key, change).pipe(
      Effect.mapError((cause) => new BudgetStoreError({ operation, account: account.name, cause }))
    )
  }
  return {
    reserve: (account, options) => at("reserve", account, (kept) => reserveIn(kept, options)),
    settle: (account, options) => at("settle", account, (kept) => settleIn(kept, options)),
    balance: (account) => at("balance", account, (kept) => [balanceOf(kept), kept])
  }
}

/** One at a time for each key; who is interrupted leaves no half of a change, since that goes on to its end. */
const makeLocks = () => {
  const locks = new Map<string, { readonly semaphore: Semaphore.Semaphore; users: number }>()
  return <A, E>(key: string, effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      const lock = locks.get(key) ?? { semaphore: Semaphore.makeUnsafe(1), users: 0 }
      locks.set(key, lock)
      lock.users++
      return Effect.ensuring(
        lock.semaphore.withPermit(Effect.uninterruptible(effect)),
        Effect.sync(() => {
          if (--lock.users === 0) locks.delete(key)
        })
      )
    })
}

/**
 * Made by who uses it, so that others do not carry it. Numbers go to Redis and back as texts: its own integers are exact, and
 * Lua's numbers are up to nine million dollars.
 */
const makeScript = () =>
  Redis.script(
    (key: string, operation: Operation, ttl: number, first: number, second: number) => [
      key,
      operation,
      Math.ceil(ttl),
      first,
      second
    ],
    {
      numberOfKeys: 1,
      lua: `
local key, operation, ttl = KEYS[1], ARGV[1], tonumber(ARGV[2])
local found = redis.call('HMGET', key, 'spent', 'reserved')
local spent, reserved = tonumber(found[1]) or 0, tonumber(found[2]) or 0
local granted = 1
local function add(field, amount)
  if amount ~= 0 then redis.call('HINCRBY', key, field, string.format('%.0f', amount)) end
end
if operation == 'reserve' then
  local amount, limit = tonumber(ARGV[3]), tonumber(ARGV[4])
  if spent + reserved + amount > limit then
    granted = 0
  else
    add('reserved', amount)
    reserved = reserved + amount
  end
elseif operation == 'settle' and ttl > 0 then
  local back = math.min(reserved, tonumber(ARGV[3]))
  add('reserved', -back)
  add('spent', tonumber(ARGV[4]))
end
if operation ~= 'balance' then redis.call('PEXPIRE', key, ttl) end
return { granted, string.format('%.0f', spent), string.format('%.0f', reserved) }
`
    }
  ).withReturnType<readonly [granted: number | string, spent: string, reserved: string]>()
