/** What a store is told of other processes' commits, by whoever hears of them. */
export interface RemoteNews {
  /**
   * Another process is said to have committed to this collection (absent: to some): its head is
   * looked at now, and not at the next search; a log owner then merges what that commit calls for.
   * Costs nothing where it is not so, however often it is called.
   */
  noteRemoteChange(name?: string): void
  /**
   * While true, every commit of other processes is told by `noteRemoteChange`: searches look for
   * them only every limits.followedHeadAgeMs, in case that one was not.
   */
  noteFollowed(isFollowed: boolean): void
}
