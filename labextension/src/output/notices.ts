/** The quiet notice about a server that is away, in place of JupyterLab's dialog. */

import type { TranslationBundle } from '@jupyterlab/translation';

import type { Sessions } from '../sessions';
import type { Answer } from './server';
import type { IReturnListener } from './socket';

/** Milliseconds without a missed message after which it is told that some came back. */
const GATHER = 1500;

/** Class of the notice. */
const NOTICE = 'jp-sessmgr-away';

/** Milliseconds that the good news is shown. */
const SHOWN = 6000;

/**
 * Says that the server is away, that it is back, and that missed output came: once for each return.
 *
 * Has an element of its own: JupyterLab fetches what shows its notifications when the first one
 * comes, which is too late here.
 */
export class ReturnNotices implements IReturnListener {
  constructor(
    private readonly sessions: Sessions,
    private readonly trans: TranslationBundle
  ) {
    const close = document.createElement('button');
    close.type = 'button';
    close.textContent = '×';
    close.setAttribute('aria-label', trans.__('Dismiss'));
    close.addEventListener('click', () => this.hide());
    this.words.setAttribute('role', 'status'); // stays there: what is hidden is not read out
    this.node.append(this.words, close);
    this.hide();
    document.body.appendChild(this.node);
  }

  /** The server went, came back, or does not know this user any more. */
  changed(answer: Answer): void {
    this.away = answer !== 'here';
    if (answer === 'here') {
      this.say(this.trans.__('The Jupyter server is back.'), SHOWN);
    } else if (answer === 'locked') {
      this.sayWithRemote(
        this.trans.__('You are logged out. Log in again in another tab, or reload this page.')
      );
    } else {
      this.sayWithRemote(
        this.trans.__('The Jupyter server does not answer. This page goes on when it is back.')
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
      if (!this.away) {
        this.say(this.trans.__('Output that came while you were away was brought back.'), SHOWN);
      }
    }, GATHER);
  }

  /** Show words, and what of sessions, if there are any. */
  private sayWithRemote(words: string): void {
    const remote = this.trans.__('Remote kernels keep running, and their output is kept.');
    this.say(this.sessions.live.length > 0 ? `${words} ${remote}` : words);
  }

  /** Show words; for so many milliseconds, or until there are others. */
  private say(words: string, shown?: number): void {
    window.clearTimeout(this.hiding);
    this.words.textContent = words;
    this.node.className = NOTICE;
    if (shown !== undefined) {
      this.hiding = window.setTimeout(() => this.hide(), shown);
    }
  }

  private hide(): void {
    this.words.textContent = '';
    this.node.className = `${NOTICE} jp-mod-quiet`;
  }

  private away = false;
  private told = false;
  private gathering: number | undefined;
  private hiding: number | undefined;
  private readonly node = document.createElement('div');
  private readonly words = document.createElement('span');
}
