/** The quiet notice about a server that is away, in place of JupyterLab's dialog. */

import type { TranslationBundle } from '@jupyterlab/translation';

/** Milliseconds after which what came back is counted and told. */
const GATHER = 1500;

/** Milliseconds that the good news is shown. */
const SHOWN = 6000;

/**
 * Says that the server is away, that it is back, and how much was missed.
 *
 * Has an element of its own: JupyterLab fetches what shows its notifications when the first one
 * comes, which is too late here.
 */
export class ReturnNotices {
  constructor(private readonly trans: TranslationBundle) {
    this.node.className = 'jp-sessmgr-away';
    this.node.setAttribute('role', 'status');
    this.node.hidden = true;
    this.node.addEventListener('click', () => this.hide());
    document.body.appendChild(this.node);
  }

  /** The server went, or came back. */
  changed(here: boolean): void {
    if (here) {
      this.say(this.trans.__('The Jupyter server is back.'), SHOWN);
    } else {
      this.say(
        this.trans.__(
          'The Jupyter server does not answer. Remote kernels go on, and their output is kept; ' +
            'this page shows it when the server is back.'
        )
      );
    }
  }

  /** A message came that was missed. */
  replayed(): void {
    this.count += 1;
    window.clearTimeout(this.gathering);
    this.gathering = window.setTimeout(() => this.tell(), GATHER);
  }

  private tell(): void {
    const words = this.trans._n(
      '%1 message that this page had missed was brought back.',
      '%1 messages that this page had missed were brought back.',
      this.count
    );
    this.count = 0;
    this.say(words, SHOWN);
  }

  /** Show words; for so many milliseconds, or until there are others. */
  private say(words: string, shown?: number): void {
    window.clearTimeout(this.hiding);
    this.node.textContent = words;
    this.node.hidden = false;
    if (shown !== undefined) {
      this.hiding = window.setTimeout(() => this.hide(), shown);
    }
  }

  private hide(): void {
    this.node.hidden = true;
  }

  private count = 0;
  private gathering: number | undefined;
  private hiding: number | undefined;
  private readonly node = document.createElement('div');
}
