import { missing } from "./programs.ts"

/** Says before the tests what this machine has no program for. */
export default () => {
  for (const line of missing()) console.log(line)
}
