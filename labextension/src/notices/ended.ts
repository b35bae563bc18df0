/** Notices about sessions that ended while a page of this window used them. */

import type { Widget } from '@lumino/widgets';

import { IContext, tell } from '../actions/context';
import { CommandIDs } from '../commands';
import { contextOf } from '../front';
import { FINAL, ISession } from '../tokens';
import { endReason } from '../words';
import { say } from './say';

/** Milliseconds until JupyterLab, if it ended the session itself, has noticed that. */
const SETTLE = 1500;

/**
 * Says of a session that it ended, why, and offers a new one.
 *
 * By itself JupyterLab shows "Disconnected", and starts another kernel, without a word, for the
 * next cell. Who shut the kernel down there, or stopped the session in this window, knows.
 */
export class EndedNotices {
  constructor(private readonly context: IContext) {
    context.sessions.changed.connect(() => this.look());
  }

  private look(): void {
    const { sessions, stopped } = this.context;
    const now = new Set(sessions.live.map(one => one.id));
    const gone = [...this.alive].filter(id => !now.has(id) && !stopped.has(id));
    this.alive = new Set(sessions.live.filter(one => one.startedAt !== null).map(one => one.id));
    gone.forEach(id => window.setTimeout(() => void this.tell(id), SETTLE));
  }

  private async tell(id: string): Promise<void> {
    const { api, app, trans, users } = this.context;
    const session = await api.session(id).catch(() => null);
    if (session === null || !FINAL.has(session.status)) {
      return; // a list that was older than the session lacked it
    }
    const asked = session.stopReason === 'user-requested';
    const pages = users.of(id).filter(page => !asked || contextOf(page)?.session != null);
    if (pages.length === 0) {
      return;
    }
    const why = endReason(session, trans);
    const open = pages.map(page => page.title.label).join(', ');
    say(
      trans.__('%1, which %2 used, has ended: %3. Variables are lost.', session.name, open, why),
      'warning',
      trans,
      [
        {
          label: trans.__('Start a New One'),
          displayType: 'accent',
          callback: () => void this.replace(pages, session)
        },
        {
          label: trans.__('Show History'),
          callback: () => void app.commands.execute(CommandIDs.details, { id })
        }
      ]
    );
  }

  /** Give pages that shared a kernel a new one, which they share. */
  private async replace(pages: readonly Widget[], session: ISession): Promise<void> {
    const contexts = pages.filter(page => !page.isDisposed).flatMap(page => contextOf(page) ?? []);
    const [first, ...others] = contexts;
    try {
      // JupyterLab looks every ten seconds; of a session that is gone it can change no kernel.
      await this.context.app.serviceManager.sessions.refreshRunning();
      const name = first?.prevKernelName || session.kernel;
      const kernel = await first?.changeKernel({ name });
      if (kernel) {
        await Promise.all(others.map(one => one.changeKernel({ id: kernel.id })));
      }
    } catch (error) {
      tell(error, this.context);
    }
  }

  private alive = new Set<string>();
}
