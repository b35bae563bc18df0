/** The quiet notice about a server that is away, in place of JupyterLab's dialog. */

import type { TranslationBundle } from '@jupyterlab/translation';

import type { Answer } from './server';
import type { IReturnListener } from './socket';

/** Milliseconds without a missed message after which it is told that some came back. */
const GATHER = 1500;

/** Milliseconds that the good news is shown. */
const SHOWN = 6000;

/**
 * Says that the server is away, that it is back, and that missed output came: once for each return.
 *
 * Has an element of its own: JupyterLab fetches what shows its notifications when the first one
 * comes, which is too late here.
 */
export class ReturnNotices implements IReturnListener {
  constructor(private readonly trans: TranslationBundle) {
    this.node.className = 'jp-sessmgr-away';
    this.node.setAttribute('role', 'status');
    this.node.hidden = true;
    this.node.addEventListener('click', () => this.hide());
    document.body.appendChild(this.node);
  }

  /** The server went, came back, or does not know this user any more. */
  changed(answer: Answer): void {
    if (answer === 'here') {
      this.say(this.trans.__('The Jupyter server is back.'), SHOWN);
    } else if (answer === 'locked') {
      this.say(
        this.trans.__(
          'You are logged out. Log in again in another tab, or reload this page. ' +
            'Remote kernels keep running, and their output is kept.'
        )
      );
    } else {
      this.say(
        this.trans.__(
          'The Jupyter server does not answer. Remote kernels go on, and their output is kept; ' +
            'this page shows it when the server is back.'
        )
      );
    }
  }

  /** What is missed from now on is told once. */
  connecting(): void {
    this.told = false;
  }

  /** A message came that was missed. */
  replayed(): void {
    if (this.told) {
      return; // a cell that waited for others comes later, but is no news
    }
    window.clearTimeout(this.gathering);
    this.gathering = window.setTimeout(() => {
      this.told = true;
      this.say(this.trans.__('Output that came while you were away was brought back.'), SHOWN);
    }, GATHER);
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

  private told = false;
  private gathering: number | undefined;
  private hiding: number | undefined;
  private readonly node = document.createElement('div');
}
