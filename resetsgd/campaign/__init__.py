"""Plan, run, store, report: experiments that predict first and measure afterwards."""
