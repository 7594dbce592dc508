# Windows Task Scheduler from PowerShell: no second start while one runs, at most two hours, made up for after a night without power.
$syncer   = "C:\syncer\.venv\Scripts\syncer.exe"
$settings = New-ScheduledTaskSettingsSet -MultipleInstances IgnoreNew -ExecutionTimeLimit (New-TimeSpan -Hours 2) -StartWhenAvailable
$hourly   = New-ScheduledTaskTrigger -Once -At "00:07" -RepetitionInterval (New-TimeSpan -Hours 1)
$nightly  = New-ScheduledTaskTrigger -Daily -At "02:37"
$both     = (New-ScheduledTaskAction -Execute $syncer -WorkingDirectory "C:\syncer" -Argument "pull hubspot.* --wait 10m --quiet"),
            (New-ScheduledTaskAction -Execute $syncer -WorkingDirectory "C:\syncer" -Argument "push hubspot.* --wait 10m --quiet")
$census   = New-ScheduledTaskAction -Execute $syncer -WorkingDirectory "C:\syncer" -Argument "pull hubspot.* --census --wait 1h --quiet"
Register-ScheduledTask -TaskPath "\syncer\" -TaskName "hourly"  -Trigger $hourly  -Action $both   -Settings $settings
Register-ScheduledTask -TaskPath "\syncer\" -TaskName "nightly" -Trigger $nightly -Action $census -Settings $settings
