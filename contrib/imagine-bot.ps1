<#
.SYNOPSIS
    Runs imagine-bot on Windows and restarts it after a crash; with -Install, as a scheduled task at log-on.
.DESCRIPTION
    The Task Scheduler does not take an exit code for a failure, so the loop that restarts the bot is here.
    Runs the program of the project's .venv, or else the one that `uv tool install` or `pipx` put on the path.
    Output is appended to imagine-bot.log in the project folder. See docs/operating.md.
#>
param([switch]$Install)

$ErrorActionPreference = "Stop"
$project = Split-Path -Parent $PSScriptRoot
$taskName = "imagine-bot"
$program = Join-Path $project ".venv\Scripts\imagine-bot.exe"
if (-not (Test-Path -LiteralPath $program)) {
    $found = Get-Command imagine-bot.exe -CommandType Application -ErrorAction SilentlyContinue | Select-Object -First 1
    if (-not $found) {
        Write-Error "imagine-bot is not installed: docs/installing.md says how"
    }
    $program = $found.Source
}

if ($Install) {
    $action = New-ScheduledTaskAction -Execute "powershell.exe" -WorkingDirectory $project `
        -Argument "-NoProfile -WindowStyle Hidden -ExecutionPolicy Bypass -File `"$PSCommandPath`""
    $trigger = New-ScheduledTaskTrigger -AtLogOn -User "$env:USERDOMAIN\$env:USERNAME"
    # No time limit: the default would end the bot after three days.
    $settings = New-ScheduledTaskSettingsSet -MultipleInstances IgnoreNew -ExecutionTimeLimit ([TimeSpan]::Zero) `
        -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries
    Register-ScheduledTask -TaskName $taskName -Action $action -Trigger $trigger -Settings $settings -Force | Out-Null
    Write-Output "Installed. It starts at the next log-on, or now with: Start-ScheduledTask -TaskName $taskName"
    exit 0
}

# 0: stopped as asked. 2: something has to be changed first. 4: another copy is running. 130: Ctrl-C.
$final = 0, 2, 4, 130
Set-Location -LiteralPath $project
# The log is no console, whose encoding Python would ask for: without this, lines from before the start are not UTF-8.
$env:PYTHONUTF8 = "1"
do {
    # Through cmd: PowerShell 5 would write UTF-16 and wrap each line of standard error into an error record.
    cmd /c "`"$program`" run >> imagine-bot.log 2>&1"
    $code = $LASTEXITCODE
    if ($final -notcontains $code) { Start-Sleep -Seconds 10 }
} while ($final -notcontains $code)
exit $code
