/** Tells of ends of sessions: of those that come, and of those that came. */

import type { IContext } from '../actions/context';
import { SESSION_EXPIRING } from '../tokens';
import { readExpiring } from '../wire';
import { EndedNotices } from './ended';
import { EndingNotices } from './ending';

/** Begin to tell. */
export function addEndNotices(context: IContext): void {
  const { app, sessions } = context;
  const ending = new EndingNotices(context);
  const ended = new EndedNotices(context);
  sessions.changed.connect(() => {
    ending.look();
    ended.look();
  });
  app.serviceManager.events.stream.connect((_, event) => {
    if (event.schema_id === SESSION_EXPIRING) {
      void ending.expires(readExpiring(event));
    }
  });
}
