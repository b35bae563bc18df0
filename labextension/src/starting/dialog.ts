/** The dialog around the form: it stays, filled in, until the server has taken what was entered. */

import { Dialog } from '@jupyterlab/apputils';

/** Most of a dialog closes on "yes"; this one asks first. */
export class AskingDialog extends Dialog<unknown> {
  constructor(
    options: Partial<Dialog.IOptions<unknown>>,
    /** Called on "yes"; resolves to whether that is that. */
    private readonly ask: () => Promise<boolean>,
    /** What the button says meanwhile. */
    private readonly asks: string
  ) {
    super({ ...options, defaultButton: 1 });
  }

  override handleEvent(event: Event): void {
    const isEnter = event instanceof KeyboardEvent && event.key === 'Enter';
    if (!(isEnter && event.target instanceof HTMLTextAreaElement)) {
      super.handleEvent(event); // which would take a new line for nothing
    }
  }

  override resolve(index?: number): void {
    if (index === 0) {
      this.reject();
    } else if (!this.asking && this.node.querySelector(':invalid') === null) {
      this.showAsking(true);
      void this.ask()
        .then(done => {
          if (done && !this.isDisposed) {
            super.resolve(index);
          }
        })
        .finally(() => this.showAsking(false));
    }
  }

  /** Have the button that asks say so; it keeps the focus. */
  private showAsking(asking: boolean): void {
    this.asking = asking;
    const button = this.node.querySelector<HTMLButtonElement>('.jp-Dialog-footer .jp-mod-accept');
    const label = button?.querySelector('.jp-Dialog-buttonLabel');
    if (button && label) {
      this.usual ||= label.textContent ?? '';
      label.textContent = asking ? this.asks : this.usual;
      button.setAttribute('aria-disabled', String(asking));
    }
  }

  private asking = false;
  /** What the button says while nothing is asked. */
  private usual = '';
}
