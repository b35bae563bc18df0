/** The quiet notices about a server that is away, in place of JupyterLab's dialog. */

import { Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';

/** Milliseconds after which what came back is counted and told. */
const GATHER = 1500;

/** Milliseconds that the good news is shown. */
const SHOWN = 6000;

/** Says that the server is away, that it is back, and how much was missed. */
export class ReturnNotices {
  constructor(private readonly trans: TranslationBundle) {}

  /** The server went, or came back. */
  changed(here: boolean): void {
    if (here) {
      this.returned();
    } else if (this.notice === '') {
      this.notice = Notification.emit(
        this.trans.__(
          'The Jupyter server does not answer. Remote kernels go on, and their output is kept; ' +
            'this page shows it when the server is back.'
        ),
        'in-progress',
        { autoClose: false }
      );
    }
  }

  /** A message came that was missed. */
  replayed(): void {
    this.count += 1;
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.tell(), GATHER);
  }

  private returned(): void {
    if (this.notice !== '') {
      Notification.update({
        id: this.notice,
        message: this.trans.__('The Jupyter server is back.'),
        type: 'success',
        autoClose: SHOWN
      });
      this.notice = '';
    }
  }

  private tell(): void {
    const words = this.trans._n(
      '%1 message that this page had missed was brought back.',
      '%1 messages that this page had missed were brought back.',
      this.count
    );
    this.count = 0;
    Notification.info(words, { autoClose: SHOWN });
  }

  private notice = '';
  private count = 0;
  private timer: number | undefined;
}
