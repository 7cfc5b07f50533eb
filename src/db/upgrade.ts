export const upgradeStore = async (..._a: unknown[]): Promise<never> => {
  throw new Error('x')
}
