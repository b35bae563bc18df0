/** Says things that stay until they are read. */

import { Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';

/** Characters after which JupyterLab cuts a notice off, and with them the remedy. */
const SHOWN = 140;

/** Show a notice, with a button for all of it where it is long; returns its id. */
export function say(
  words: string,
  type: 'error' | 'warning',
  trans: TranslationBundle,
  actions: Notification.IAction[] = []
): string {
  const all: Notification.IAction = {
    label: trans.__('Read All'),
    callback: event => {
      event.preventDefault(); // which keeps the notice
      void showDialog({ title: trans.__('Remote Sessions'), body: words, buttons: [Dialog.okButton()] });
    }
  };
  const shown = words.length > SHOWN ? [...actions, all] : actions;
  const { manager } = Notification;
  const same = manager.notifications.filter(one => one.type === type && one.message === words);
  same.forEach(({ id }) => manager.dismiss(id)); // said anew, not once more
  return Notification.emit(words, type, { autoClose: false, actions: shown });
}
