/**
 * What providers publish of their models, as data with its source and date: prices, windows.
 *
 * @since 0.1.0
 */

/**
 * The rows of one provider, by model.
 *
 * @category models
 * @since 0.1.0
 */
export interface DatedList<Row> {
  /** The provider's page that has them. */
  readonly source: string
  /** How recent our copy is. */
  readonly date: string
  readonly models: { readonly [model: string]: Row }
}

/**
 * The lists by the providers' slugs: those that have other providers' models have their lists.
 *
 * @category constructors
 * @since 0.1.0
 */
export const byProvider = <Row>({ google, openai, workersAi, ...others }: {
  readonly [Name in "anthropic" | "deepseek" | "google" | "grok" | "openai" | "workersAi"]: DatedList<Row>
}): { readonly [provider: string]: DatedList<Row> } => ({
  ...others,
  openai,
  "azure-openai": openai,
  "google-ai-studio": google,
  "google-vertex-ai": google,
  "workers-ai": workersAi
})
