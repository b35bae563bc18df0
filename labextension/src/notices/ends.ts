/** Tells of ends of sessions: of those that come, and of those that came. */

import type { IContext } from '../actions/context';
import { ISessionExpiring, SESSION_EXPIRING } from '../tokens';
import { EndedNotices } from './ended';
import { EndingNotices } from './ending';

/** Begin to tell. */
export function addEndNotices(context: IContext): void {
  const ending = new EndingNotices(context);
  new EndedNotices(context);
  context.app.serviceManager.events.stream.connect((_, event) => {
    if (event.schema_id === SESSION_EXPIRING) {
      void ending.expires(event as unknown as ISessionExpiring);
    }
  });
}
