/* Prints the script with which a shell completes command lines; the script calls `xtctl complete`. */
#include "xtctl.h"

#include <string.h>

static const char bash[] = "# eval \"$(xtctl completion bash)\"\n"
			   "_xtctl() {\n"
			   "	local line file word=\"${COMP_WORDS[COMP_CWORD]}\" found=()\n"
			   "	COMPREPLY=()\n"
			   "	while IFS= read -r line; do\n"
			   "		if [ \"$line\" = :files ] || [ \"$line\" = :databases ]; then\n"
			   "			compopt -o filenames 2>/dev/null\n"
			   "			while IFS= read -r file; do\n"
			   "				case $line$file in\n"
			   "				:databases*-wal | :databases*-shm | :databases*.lock "
			   "| :databases*.log | :databases*.log.1 | "
			   ":databases*.reserve) ;;\n"
			   "				*) COMPREPLY+=(\"$file\") ;;\n"
			   "				esac\n"
			   "			done < <(compgen -f -- \"$word\")\n"
			   "		else\n"
			   "			found+=(\"${line%%$'\\t'*}\")\n"
			   "		fi\n"
			   "	done < <(\"$1\" complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\n"
			   "	COMPREPLY+=(\"${found[@]}\")\n"
			   "}\n"
			   "complete -F _xtctl xtctl xt\n";

static const char zsh[] =
	"#compdef xtctl xt\n"
	"# eval \"$(xtctl completion zsh)\"\n"
	"_xtctl() {\n"
	"	local line found=()\n"
	"	for line in \"${(@f)$(${words[1]} complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\"; do\n"
	"		if [[ $line = :files ]]; then\n"
	"			_files\n"
	"		elif [[ $line = :databases ]]; then\n"
	"			_files -F '*(-wal|-shm|.lock|.log|.log.1|.reserve)'\n"
	"		elif [[ -n $line ]]; then\n"
	"			"
	"found+=(\"${${line%%$'\\t'*}//:/\\\\:}${${(M)line:#*$'\\t'*}:+:${line#*$'\\t'}}\")\n"
	"		fi\n"
	"	done\n"
	"	(( $#found )) && _describe xtctl found\n"
	"	return 0\n"
	"}\n"
	"if [ \"$funcstack[1]\" = _xtctl ]; then\n"
	"	_xtctl \"$@\"\n"
	"else\n"
	"	compdef _xtctl xtctl xt\n"
	"fi\n";

static const char fish[] = "# xtctl completion fish | source\n"
			   "function __xtctl\n"
			   "	set -l words (commandline -opc) (commandline -ct)\n"
			   "	for line in ($words[1] complete $words[2..-1] 2>/dev/null)\n"
			   "		if test \"$line\" = :files\n"
			   "			__fish_complete_path (commandline -ct)\n"
			   "		else\n"
			   "			echo $line\n"
			   "		end\n"
			   "	end\n"
			   "end\n"
			   "complete -c xtctl -f -a '(__xtctl)'\n"
			   "complete -c xt -f -a '(__xtctl)'\n";

static const struct script {
	const char *shell, *text;
} scripts[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};

static int cmd_completion(struct ctl *ctl)
{
	const char *shell = ctl->n_args > 0 ? ctl->args[0] : "";

	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++)
		if (strcmp(scripts[i].shell, shell) == 0) {
			fputs(scripts[i].text, ctl->out.file);
			return CTL_OK;
		}
	return ctl_usage(ctl, "'%s' is none of bash, zsh and fish", shell);
}

const struct command completion_command = {
	.name = "completion",
	.usage = "bash|zsh|fish",
	.summary = "a script with which the shell completes commands, tables, columns and runs",
	.help = "For bash, in ~/.bashrc:           eval \"$(xtctl completion bash)\"\n"
		"For zsh, in ~/.zshrc:             eval \"$(xtctl completion zsh)\"\n"
		"For fish, in config.fish:         xtctl completion fish | source",
	.examples = (const struct example[]){{"what bash runs", "completion bash"}, {NULL, NULL}},
	.least = 1,
	.most = 1,
	.apart = true,
	.run = cmd_completion,
};
