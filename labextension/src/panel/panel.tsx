/** The list of sessions in the side bar. */

import { ReactWidget, UseSignal } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { addIcon, MenuSvg, refreshIcon, ToolbarButtonComponent } from '@jupyterlab/ui-components';
import type { IDisposable } from '@lumino/disposable';
import type { Message } from '@lumino/messaging';
import type { Menu } from '@lumino/widgets';
import React, { useState } from 'react';

import type { IContext } from '../actions/context';
import { CommandIDs } from '../commands';
import type { ServerHealth } from '../health';
import { sessionIcon } from '../icons';
import type { Sessions } from '../sessions';
import type { StartProgress } from '../starting/progress';
import { hasPages, isPage } from '../states';
import type { ISession } from '../tokens';
import { sayError } from '../words';
import { choose, Order, rememberedOrder, rememberOrder } from './choosing';
import { IRowActions, ISeat, Row } from './row';
import { Rows } from './rows';
import { UsageHistory } from './usage';

/** Milliseconds in which "in 5 min" is said again: rows are drawn anew for it. */
const TICK = 30_000;

/** What the menu of a session holds, in this order; null is a line. */
const MENU = [
  CommandIDs.openNotebook,
  CommandIDs.openConsole,
  null,
  CommandIDs.details,
  CommandIDs.keep,
  CommandIDs.rename,
  CommandIDs.copyUrl,
  CommandIDs.copyAttach,
  null,
  CommandIDs.restart,
  CommandIDs.suspend,
  CommandIDs.resume,
  CommandIDs.stop
];

/** Lists sessions; keeps their figures fresh while it is shown. */
export class SessionsPanel extends ReactWidget implements IRowActions {
  constructor(
    private readonly context: IContext,
    private readonly progress: StartProgress
  ) {
    super();
    const { sessions, trans } = context;
    this.id = 'jupyter-sessmgr-panel';
    this.addClass('jp-sessmgr-panel');
    this.title.caption = trans.__('Remote sessions');
    this.title.icon = sessionIcon;
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Remote sessions'));
    this.usage = new UsageHistory(sessions);
  }

  run(command: string, session: ISession): void {
    if (this.isEnabled(command, session)) {
      void this.context.app.commands.execute(command, { id: session.id });
    }
  }

  isEnabled(command: string, session: ISession): boolean {
    return this.context.app.commands.isEnabled(command, { id: session.id });
  }

  menu(session: ISession, at: { x: number; y: number }): void {
    const menu = new MenuSvg({ commands: this.context.app.commands });
    const args = { id: session.id };
    MENU.forEach(one => {
      menu.addItem(one === null ? { type: 'separator' } : { command: one, args });
    });
    if (hasPages(session)) {
      this.addServices(menu, session);
    }
    menu.aboutToClose.connect(() => window.setTimeout(() => menu.dispose()));
    menu.open(at.x, at.y);
  }

  protected override render(): JSX.Element {
    const { app, health, sessions, trans } = this.context;
    const list = () => (
      <List
        sessions={sessions}
        health={health}
        usage={this.usage}
        progress={this.progress}
        trans={trans}
        actions={this}
        run={command => void app.commands.execute(command)}
      />
    );
    return (
      <UseSignal signal={health.changed}>
        {() => <UseSignal signal={sessions.changed}>{list}</UseSignal>}
      </UseSignal>
    );
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this.watching ??= this.context.sessions.watch();
    void this.context.health.refresh();
  }

  protected override onAfterHide(message: Message): void {
    super.onAfterHide(message);
    this.watching?.dispose();
    this.watching = null;
  }

  /** Who comes here by a command goes on by the keyboard. */
  protected override onActivateRequest(message: Message): void {
    super.onActivateRequest(message);
    const filter = this.node.querySelector<HTMLElement>('input[type="search"]');
    requestAnimationFrame(() => filter?.focus()); // the palette gives the focus back to the page first
  }

  private addServices(menu: Menu, session: ISession): void {
    const { app, trans } = this.context;
    const submenu = new MenuSvg({ commands: app.commands });
    submenu.title.label = trans.__('Open Service');
    for (const { name } of session.services.filter(isPage)) {
      const args = { id: session.id, name };
      submenu.addItem({ command: CommandIDs.openService, args });
      submenu.addItem({ command: CommandIDs.openService, args: { ...args, browser: true } });
    }
    menu.insertItem(2, { type: 'submenu', submenu });
  }

  private readonly usage: UsageHistory;
  private watching: IDisposable | null = null;
}

interface IListProps {
  readonly sessions: Sessions;
  readonly health: ServerHealth;
  readonly usage: UsageHistory;
  readonly progress: StartProgress;
  readonly trans: TranslationBundle;
  readonly actions: IRowActions;
  readonly run: (command: string) => void;
}

function List(props: IListProps): JSX.Element {
  const { sessions, health, usage, progress, trans, actions, run } = props;
  const [filter, setFilter] = useState('');
  const [order, setOrder] = useState<Order>(rememberedOrder);
  const now = Math.floor(Date.now() / TICK) * TICK;
  const { trouble: error } = sessions;
  const trouble = error === null ? health.now.reason : sayError(error, trans);
  const row = (session: ISession, seat: ISeat) => (
    <Row
      key={session.id}
      session={session}
      figures={usage.of(session.id)}
      progress={progress.of(session.id)?.progress ?? undefined}
      trans={trans}
      actions={actions}
      now={now}
      {...seat}
    />
  );
  return (
    <>
      <div className="jp-sessmgr-bar">
        <ToolbarButtonComponent
          icon={addIcon}
          label={trans.__('New Session…')}
          tooltip={trans.__('Start a session on an image, with limits of your choice')}
          onClick={() => run(CommandIDs.create)}
        />
        <ToolbarButtonComponent
          icon={refreshIcon}
          tooltip={trans.__('Refresh')}
          onClick={() => run(CommandIDs.refresh)}
        />
      </div>
      <div className="jp-sessmgr-bar">
        <input
          type="search"
          className="jp-mod-styled"
          placeholder={trans.__('Filter')}
          aria-label={trans.__('Filter sessions')}
          value={filter}
          onChange={event => setFilter(event.target.value)}
        />
        <Sorter
          order={order}
          set={chosen => {
            rememberOrder(chosen);
            setOrder(chosen);
          }}
          trans={trans}
        />
      </div>
      <Trouble words={trouble} />
      <Rows
        label={trans.__('Running sessions')}
        none={nothing(sessions, filter, trans)}
        sessions={choose(sessions.live, filter, order)}
        row={row}
      />
      <details
        className="jp-sessmgr-ended"
        open={sessions.showsEnded}
        onToggle={event => (sessions.showsEnded = event.currentTarget.open)}
      >
        <summary>{trans.__('Finished')}</summary>
        <Rows
          label={trans.__('Finished sessions')}
          none={trans.__('No finished sessions.')}
          sessions={choose(sessions.ended, filter, 'newest')}
          row={row}
        />
      </details>
    </>
  );
}

/** What stands in place of rows. */
function nothing(sessions: Sessions, filter: string, trans: TranslationBundle): string {
  if (filter !== '' && sessions.live.length > 0) {
    return trans.__('No session matches the filter.');
  }
  return sessions.isReady ? trans.__('No sessions. Start one, or pick a remote kernel.') : '';
}

function Trouble(props: { words: string }): JSX.Element | null {
  return props.words === '' ? null : (
    <p className="jp-sessmgr-trouble" role="alert">
      {props.words}
    </p>
  );
}

function Sorter(props: {
  order: Order;
  set: (order: Order) => void;
  trans: TranslationBundle;
}): JSX.Element {
  const { order, set, trans } = props;
  const words: Record<Order, string> = {
    newest: trans.__('Newest first'),
    name: trans.__('By name'),
    memory: trans.__('By memory'),
    cpu: trans.__('By processor')
  };
  return (
    <select
      className="jp-mod-styled"
      aria-label={trans.__('Order of sessions')}
      value={order}
      onChange={event => set(event.target.value as Order)}
    >
      {Object.entries(words).map(([value, label]) => (
        <option key={value} value={value}>
          {label}
        </option>
      ))}
    </select>
  );
}
