/**
 * Stands for what a hook makes, so that a test file can name it where the hook is registered.
 * Whatever is read, called or set goes to the thing itself, as it is at that moment.
 *
 * @param find undefined until it is there, which is an error that says `name` where it is used
 */
export function later<T extends object>(name: string, find: () => T | undefined): T {
  const made = (): T => {
    const found = find()
    if (found === undefined) throw new Error(`${name} is there from beforeAll or beforeEach on`)
    return found
  }
  return new Proxy({} as T, {
    get: (_, key) => {
      const value: unknown = Reflect.get(made(), key)
      // Its methods and getters know it, and not this.
      return typeof value === 'function' ? value.bind(made()) : value
    },
    set: (_, key, value) => Reflect.set(made(), key, value),
    has: (_, key) => Reflect.has(made(), key),
    // For `{ ...it }`.
    ownKeys: () => Reflect.ownKeys(made()),
    getOwnPropertyDescriptor: (_, key) => Reflect.getOwnPropertyDescriptor(made(), key),
  })
}
