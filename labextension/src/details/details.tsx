/** A tab about one session: what it wrote, live and searchable, and what happened to it. */

import type { ILayoutRestorer } from '@jupyterlab/application';
import {
  Dialog,
  MainAreaWidget,
  ReactWidget,
  showDialog,
  UseSignal,
  WidgetTracker
} from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import type { Message } from '@lumino/messaging';
import React from 'react';

import { candidates, chosen } from '../actions/choosing';
import type { IContext } from '../actions/context';
import { CommandIDs } from '../commands';
import type { IAboutSession } from '../front';
import { sessionIcon } from '../icons';
import type { ISession } from '../tokens';
import { Page } from './page';
import { DetailsSource } from './source';

/** The tab; it looks only while it is shown. */
class DetailsTab extends MainAreaWidget implements IAboutSession {
  constructor(
    readonly sessionId: string,
    private readonly source: DetailsSource,
    trans: TranslationBundle
  ) {
    super({ content: pageOf(source, trans) });
    this.toolbar.hide();
    this.id = `jupyter-sessmgr-details-${sessionId}`;
    this.title.label = trans.__('Session');
    this.title.icon = sessionIcon;
    this.title.closable = true;
    source.changed.connect(() => this.name());
    this.name();
  }

  override dispose(): void {
    this.source.dispose();
    super.dispose();
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this.source.watch(true);
  }

  protected override onAfterHide(message: Message): void {
    super.onAfterHide(message);
    this.source.watch(false);
  }

  private name(): void {
    this.title.label = this.source.session?.name ?? this.title.label;
  }
}

function pageOf(source: DetailsSource, trans: TranslationBundle): ReactWidget {
  const page = ReactWidget.create(
    <UseSignal signal={source.changed}>{() => <Page source={source} trans={trans} />}</UseSignal>
  );
  page.addClass('jp-sessmgr-details');
  return page;
}

/** Show the same over the page, where there are no tabs. */
async function showOver(source: DetailsSource, trans: TranslationBundle): Promise<void> {
  source.watch(true);
  const title = source.session?.name ?? trans.__('Session');
  await showDialog({ title, body: pageOf(source, trans), buttons: [Dialog.okButton()] });
  source.dispose();
}

/** Add the command that opens the tab, and bring tabs back after a reload. */
export function addDetails(context: IContext, restorer: ILayoutRestorer | null): void {
  const { app, api, hasTabs, sessions, trans, palette } = context;
  const tracker = new WidgetTracker<DetailsTab>({ namespace: 'jupyter-sessmgr-details' });
  const show = async (id: string) => {
    const known = tracker.find(one => one.sessionId === id);
    if (known === undefined) {
      const source = new DetailsSource(id, api, sessions);
      if (!hasTabs) {
        return showOver(source, trans);
      }
      const tab = new DetailsTab(id, source, trans);
      app.shell.add(tab, 'main');
      await tracker.add(tab);
    }
    app.shell.activateById(`jupyter-sessmgr-details-${id}`);
  };
  const any = (_: ISession) => true;
  const label = trans.__('Show Log and History of Session');
  app.commands.addCommand(CommandIDs.details, {
    label,
    isEnabled: args => typeof args['id'] === 'string' || candidates(context, args, any).length > 0,
    execute: async (args: ReadonlyPartialJSONObject) => {
      const id = args['id'] ?? (await chosen(context, args, any, label))?.id;
      if (typeof id === 'string') {
        await show(id);
      }
    }
  });
  palette?.addItem({ command: CommandIDs.details, category: trans.__('Remote Sessions') });
  void restorer?.restore(tracker, {
    command: CommandIDs.details,
    args: tab => ({ id: tab.sessionId }),
    name: tab => tab.id
  });
}
