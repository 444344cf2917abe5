import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/globalSetup.ts"],
    // alchemy/Test/Vitest registers its clean-up last and expects hooks to run in the order of registration.
    sequence: { hooks: "list" },
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 120_000,
    env: { DO_NOT_TRACK: "1" },
    silent: "passed-only"
  }
})
