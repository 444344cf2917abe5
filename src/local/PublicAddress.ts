/**
 * Keeps requests to the base URLs of custom providers away from this machine and its network.
 *
 * A name is judged by what it resolves to at the moment of connecting, so that one that changes its address in between
 * gets nothing by it. Redirects are not followed, here as for every provider (`Upstream`).
 *
 * @since 0.1.0
 */
import { lookup as resolve } from "node:dns"
import { BlockList, isIP, type LookupFunction } from "node:net"

/**
 * The code of the error that a connection to another address ends with.
 *
 * @category constants
 * @since 0.1.0
 */
export const refusedCode = "ERR_PRIVATE_ADDRESS"

/**
 * False for an address of loopback, of a private or link-local network, or of any other range that is not the internet's.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isPublic = (address: string): boolean => {
  switch (isIP(address)) {
    case 4:
      return !v4.check(address, "ipv4")
    case 6:
      return !v6.check(address, "ipv6")
    default:
      return false
  }
}

/**
 * Whether a URL's host is written as an address that is not public; of a name nothing is known before it is resolved.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isPrivateLiteral = (url: URL): boolean => {
  const host = url.hostname.replace(/^\[|\]$/g, "")
  return isIP(host) !== 0 && !isPublic(host)
}

/**
 * Resolves a name as Node does; fails when one of its addresses is not public.
 *
 * @category constructors
 * @since 0.1.0
 */
export const lookup: LookupFunction = (hostname, options, callback) =>
  // Without hints: none of them makes an address public.
  resolve(hostname, { all: true, family: options.family ?? 0 }, (error, addresses) => {
    if (error !== null) return callback(error, "", 0)
    const [first] = addresses
    if (first === undefined || !addresses.every(({ address }) => isPublic(address))) {
      return callback(Object.assign(new Error(`${hostname} has no public address`), { code: refusedCode }), "", 0)
    }
    return options.all === true ? callback(null, addresses) : callback(null, first.address, first.family)
  })

const blocked = (family: "ipv4" | "ipv6", subnets: ReadonlyArray<readonly [string, number]>): BlockList => {
  const list = new BlockList()
  for (const [net, prefix] of subnets) list.addSubnet(net, prefix, family)
  return list
}

// Source: IANA's registries of special-purpose addresses.
const v4 = blocked("ipv4", [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3]
])

// Apart from the other list: an IPv4 address would match the range of those that are written as IPv6.
const v6 = blocked("ipv6", [
  // Unspecified, loopback and IPv4-compatible.
  ["::", 96],
  ["::ffff:0:0", 96],
  // Ways to reach an IPv4 address through IPv6.
  ["64:ff9b::", 96],
  ["64:ff9b:1::", 48],
  ["2001::", 32],
  ["2002::", 16],
  ["2001:db8::", 32],
  ["fc00::", 7],
  ["fe80::", 9],
  ["ff00::", 8]
])
